// Package postgres is the database on PostgreSQL 15 or later: a postrider.Database that many processes share.
//
// Entities. Every change takes the next version from the one row of the table feed, which its transaction locks first. So
// versions are dense and in the order of the commits. A NOTIFY follows each commit; it is a hint, and readers poll too.
//
// Deliveries, their attempts and the heads of events lie in tables that are partitioned by the day of acceptance (UTC).
// Deliveries and attempts are partitioned by the delivery's id, whose first six bytes are that time: an id always finds the
// same partition, so that it is unique, and a list that goes on from an id reads none of the newer days. Days are made
// ahead of need and dropped whole; a default partition takes what is accepted outside of them.
//
// Archive folds a batch to one row a delivery. Rows that are new go in by COPY, straight into the tables; the others are
// merged by one INSERT … ON CONFLICT DO UPDATE that keeps the greater (see postrider.DeliveryRecord.Newer). The only
// attempt of a delivery that is new lies in its row, so that the usual course costs one row.
//
// Each call ends within a bounded time. A server that is away is a CodeUnavailable, and the pool connects anew by itself.
package postgres
