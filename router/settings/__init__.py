"""What a configuration may say (schema) and what becomes of it: frozen runtime values, or every problem at once."""
