// What Go's own text/template makes of templates: one JSON object {template, data} per line in, {want} or {error} out.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type question struct {
	Template string `json:"template"`
	Data     any    `json:"data"`
}

type answer struct {
	Want  *string `json:"want,omitempty"`
	Error string  `json:"error,omitempty"`
}

// Numbers with a point or an exponent are floats, others ints.
func plain(value any) any {
	switch value := value.(type) {
	case json.Number:
		if strings.ContainsAny(value.String(), ".eE") {
			float, _ := value.Float64()
			return float
		}
		whole, _ := value.Int64()
		return int(whole)
	case []any:
		for index := range value {
			value[index] = plain(value[index])
		}
	case map[string]any:
		for key := range value {
			value[key] = plain(value[key])
		}
	}
	return value
}

func ask(q question) answer {
	asJSON := func(value any) string {
		text, _ := json.Marshal(value)
		return string(text)
	}
	made := template.New("").Option("missingkey=zero").Funcs(template.FuncMap{"json": asJSON})
	parsed, err := made.Parse(q.Template)
	if err != nil {
		return answer{Error: err.Error()}
	}
	var out strings.Builder
	if err := parsed.Execute(&out, plain(q.Data)); err != nil {
		return answer{Error: err.Error()}
	}
	text := out.String()
	return answer{Want: &text}
}

func main() {
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	in.UseNumber()
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	for {
		var q question
		if in.Decode(&q) != nil {
			return
		}
		encoder.Encode(ask(q))
	}
}
