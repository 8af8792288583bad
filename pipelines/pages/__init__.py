"""Templates, pictures and charts that all pages share."""
