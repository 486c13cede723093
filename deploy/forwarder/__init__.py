"""The forwarder: between a topic and the on-call tool, it adds what the tool cannot show by itself."""
