"""What any call needs, whatever it is about: errors as answers, forms, conditions, sockets. No SQL, no files."""
