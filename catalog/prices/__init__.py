"""What prices may say: one table of fields, from which they are read and from which their JSON Schema is made."""
