// Package sqltest starts real PostgreSQL and MariaDB servers for tests, kills them, and cuts
// their connections. A server has a data directory and a port of its own, runs as an
// unprivileged user, and ends with the test. Where a server is not installed, the test is
// skipped with a word; "make tools" installs both. Begin with Start.
package sqltest
