"""Rating: from quantities and prices to exact, explained charge lines, for all subscriptions at once."""
