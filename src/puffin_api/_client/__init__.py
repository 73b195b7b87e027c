"""HTTP and indexes: transport, authentication, HTTP cache, simple pages, remote wheels."""
