"""What all pages share: templates, pictures, charts."""
