"""Apache Kafka as the log of one machine: a node in KRaft mode, run from its Maven artifacts. It keeps what it took."""
