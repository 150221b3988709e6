"""HTTP: access, requests, answers, and the statuses of errors."""
