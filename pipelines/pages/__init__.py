"""Shared parts of all pages: templates, pictures, charts."""
