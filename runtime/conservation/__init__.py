"""The check that anyone can run: do log, ledger, usage and invoices tell the same story? Reads the stores alone."""
