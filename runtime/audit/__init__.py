"""The auditor: do log, ledger, events, windows, charge lines and invoices agree? Repairs what can be proved."""
