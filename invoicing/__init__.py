"""Invoicing: from charge lines to numbered invoices. Money exists from here on, rounded once per line."""
