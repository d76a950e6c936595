"""One SMTP client connection: connect, EHLO, TLS, AUTH, transactions."""
