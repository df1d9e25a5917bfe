"""The shapes that everybody shares, a module for each noun.

What clients send is checked and normalised by the types of its fields (`bodies`). What PostgreSQL gives, such as an
`Image` or an `Attachment`, is taken as it is.
"""
