"""The commands, one file a group. The only place that prints or exits."""
