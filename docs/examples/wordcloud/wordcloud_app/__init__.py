"""The word cloud system: five services that find each other with pydoudou."""
