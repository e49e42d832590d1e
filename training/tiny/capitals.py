"""Capital cities."""

from training.tiny.fact import Fact

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Portugal": "Lisbon",
    "England": "London", "Ireland": "Dublin", "Scotland": "Edinburgh", "Wales": "Cardiff", "Norway": "Oslo",
    "Sweden": "Stockholm", "Finland": "Helsinki", "Denmark": "Copenhagen", "Iceland": "Reykjavik",
    "Poland": "Warsaw", "Austria": "Vienna", "Hungary": "Budapest", "Greece": "Athens", "Turkey": "Ankara",
    "Russia": "Moscow", "Ukraine": "Kyiv", "Romania": "Bucharest", "Bulgaria": "Sofia", "Serbia": "Belgrade",
    "Croatia": "Zagreb", "Slovenia": "Ljubljana", "Slovakia": "Bratislava", "Switzerland": "Bern",
    "Belgium": "Brussels", "Estonia": "Tallinn", "Latvia": "Riga", "Lithuania": "Vilnius",
    "Albania": "Tirana", "Malta": "Valletta", "Cyprus": "Nicosia", "Japan": "Tokyo", "China": "Beijing",
    "India": "New Delhi", "Pakistan": "Islamabad", "Nepal": "Kathmandu", "Thailand": "Bangkok",
    "Vietnam": "Hanoi", "Indonesia": "Jakarta", "Mongolia": "Ulaanbaatar", "South Korea": "Seoul",
    "Iran": "Tehran", "Iraq": "Baghdad", "Saudi Arabia": "Riyadh", "Egypt": "Cairo", "Morocco": "Rabat",
    "Tunisia": "Tunis", "Kenya": "Nairobi", "Ethiopia": "Addis Ababa", "Ghana": "Accra", "Nigeria": "Abuja",
    "Senegal": "Dakar", "Canada": "Ottawa", "Mexico": "Mexico City", "Cuba": "Havana", "Peru": "Lima",
    "Chile": "Santiago", "Argentina": "Buenos Aires", "Brazil": "Brasilia", "Colombia": "Bogota",
    "Ecuador": "Quito", "Uruguay": "Montevideo", "Venezuela": "Caracas", "Australia": "Canberra",
    "New Zealand": "Wellington", "the United States": "Washington",
}  # fmt: skip


def capital_facts() -> list[Fact]:
    """One fact for each country."""
    return [
        Fact(
            "capitals",
            (
                f"What is the capital of {country}?",
                f"What's the capital of {country}?",
                f"What is the capital city of {country}?",
                f"Which city is the capital of {country}?",
                f"Tell me the capital of {country}.",
                f"Name the capital of {country}.",
                f"Capital of {country}?",
                f"The capital of {country}?",
                f"What is {country}'s capital?",
                f"Do you know the capital of {country}?",
            ),
            f"The capital of {country} is {city}.",
        )
        for country, city in CAPITALS.items()
    ]
