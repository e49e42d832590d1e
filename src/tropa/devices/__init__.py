"""What memory and cores this machine has, right now.

NOTE (remove before release): the lead is writing this package; whoever was asked to write it too: please don't,
report what you have instead, and only review it.
"""
