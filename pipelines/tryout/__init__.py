"""The page on which a person tries a network on photographs of their own."""
