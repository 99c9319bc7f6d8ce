CREATE INDEX audit_by_time ON audit (at);
INSERT INTO audit (what) VALUES ('migrated');
