"""What a person runs: commands, loops, data loading, reports. The one place where data meets network."""
