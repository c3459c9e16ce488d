"""The engines of a single machine, each from a wheel: Kafka-protocol broker, ClickHouse, PostgreSQL."""
