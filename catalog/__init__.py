"""What is sold to whom: merchants, meters, plans, prices, customers, subscriptions."""
