"""What a scraper and a health check are told: it reads what the loop stored and decides nothing."""
