//! What a server is asked, in SQL. `reader` puts the questions and understands the answers.

use super::Abilities;

/// Our own commits have to be on disk when they return, whatever the server's habit; nobody's time-outs apply to us.
pub(super) const SESSION: &str = "
    SET synchronous_commit = on;
    SET statement_timeout = '30s';
    SET idle_session_timeout = 0;
    SET application_name = 'regatta watch';
    SET jit = off";

/// Where nothing is waiting to be written, nothing is written. What was inserted before counts, not what follows.
pub(super) const FLUSH: &str = "
    SELECT CASE WHEN pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn()
                THEN pg_logical_emit_message(true, 'regatta', '') ELSE pg_current_wal_insert_lsn() END";

/// The last row tells how far it was read. Entries of indexes are left out: those of their tables tell the same.
pub(super) const RECORDS: &str = "
    WITH stretch AS MATERIALIZED (
        SELECT record.* FROM (SELECT $1::pg_lsn AS s, least(pg_current_wal_flush_lsn(), $1::pg_lsn + $2::int8::numeric) AS e) w,
               LATERAL pg_get_wal_records_info(w.s, w.e) record WHERE w.s < w.e)
    SELECT xid::text, resource_manager, record_type,
           CASE WHEN resource_manager = 'Transaction' THEN split_part(description, '; inval msgs', 1)
                ELSE left(description, 100) END,
           left(coalesce(block_ref, ''), 64), NULL::pg_lsn
    FROM stretch
    WHERE (xid <> '0'::xid OR resource_manager IN ('Transaction', 'Sequence'))
      AND resource_manager NOT IN ('Btree', 'Hash', 'Gin', 'Gist', 'SPGist', 'BRIN', 'CLOG', 'MultiXact', 'CommitTs')
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, NULL, max(end_lsn) FROM stretch HAVING count(*) > 0";

pub(super) const DATABASES: &str = "
    SELECT d.oid, d.datname::text, pg_stat_get_db_sessions(d.oid),
           pg_stat_get_db_tuples_inserted(d.oid) + pg_stat_get_db_tuples_updated(d.oid) + pg_stat_get_db_tuples_deleted(d.oid),
           pg_stat_get_db_numbackends(d.oid), pg_stat_get_db_xact_rollback(d.oid),
           pg_stat_get_db_sessions_killed(d.oid)
    FROM pg_database d WHERE d.oid = ANY($1::oid[])";

pub(super) const PEAKS: &str = "
    SELECT datid, count(*) FROM pg_stat_get_activity(NULL) WHERE datid <> 0 AND backend_type = 'client backend' GROUP BY 1";

pub(super) const STATEMENTS: &str = "
    SELECT dbid, userid, coalesce(queryid, 0), toplevel, calls, left(query, $2::int4), length(query) > $2::int4, rows,
           total_exec_time, pg_get_userbyid(userid)::text, userid = current_user::regrole
    FROM pg_stat_statements(true) WHERE (dbid = ANY($1::oid[]) OR $3::bool) AND query IS NOT NULL";

pub(super) const CALLS: &str = "
    SELECT dbid, userid, coalesce(queryid, 0), toplevel, calls, rows, total_exec_time
    FROM pg_stat_statements(false) WHERE dbid = ANY($1::oid[])";

pub(super) const RESET: &str = "SELECT pg_stat_statements_reset(0, d, 0) IS NULL FROM unnest($1::oid[]) d";

/// Of our databases: whoever reads on the shared clone has a role of its own, and would be remembered long after.
pub(super) const SWEEP: &str = "
    SELECT pg_stat_statements_reset(userid, dbid, 0) IS NULL
    FROM (SELECT DISTINCT userid, dbid FROM pg_stat_statements(false) s
          WHERE dbid = ANY($1::oid[]) AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = s.userid)) gone";

pub(super) const COMMITTED: &str = "
    SELECT coalesce(bool_or(pg_xact_status(x::text::xid8) IS DISTINCT FROM 'aborted'), false)
    FROM generate_series($1::int8, $2::int8) x";

pub(super) fn whole(abilities: &Abilities, whole: bool) -> String {
    let pick = |can: bool, sql: &'static str, otherwise: &'static str| if can { sql } else { otherwise };
    let evicted =
        pick(abilities.statements, "(SELECT dealloc || ' ' || stats_reset FROM pg_stat_statements_info)", "''");
    let file = pick(
        whole && abilities.files,
        "coalesce((pg_stat_file('postgresql.auto.conf', true)).modification::text, '')",
        "''",
    );
    let others = pick(
        whole,
        "(SELECT coalesce(md5(string_agg(row, ',' ORDER BY row)), '') FROM (
              SELECT s::text AS row FROM pg_db_role_setting s WHERE setdatabase <> ALL($1)
              UNION ALL SELECT (oid, datname, datdba, datallowconn, datconnlimit, datistemplate, dattablespace, datacl)::text
                        FROM pg_database WHERE oid <> ALL($1)) rows)",
        "''",
    );
    let elsewhere = pick(
        whole && abilities.counters,
        "(SELECT coalesce(sum(pg_stat_get_db_sessions(oid)), 0)::int8 FROM pg_database WHERE oid <> ALL($1))",
        "0::int8",
    );
    let shared = pick(
        whole && !abilities.wal,
        "(SELECT sum(pg_stat_get_tuples_inserted(r) + pg_stat_get_tuples_updated(r) + pg_stat_get_tuples_deleted(r))::int8
          FROM unnest('{1260,1261,1262,1213,2964,6000,6100,6243}'::oid[]) r)",
        "0::int8",
    );
    let next = pick(!abilities.wal, "pg_snapshot_xmax(pg_current_snapshot())::text::int8", "0::int8");
    format!(
        "SELECT pg_postmaster_start_time() || coalesce(
                    (SELECT backend_start::text FROM pg_stat_get_activity(NULL) WHERE backend_type = 'checkpointer'), ''),
                {evicted}, pg_conf_load_time()::text || {file}, {others}, {elsewhere},
                {shared}, {next} WHERE $1::oid[] IS NOT NULL"
    )
}

/// Everything that a lease can leave behind, in one statement: kind, what, how many. Whatever is named after the role of
/// the lease, with an underscore behind it, is the lease's.
pub(super) const LEAKS: &str = "
    WITH lease AS (SELECT $1::oid AS db, $2::text AS role, starts.with AS prefix,
                          (SELECT oid FROM pg_roles WHERE rolname = $2::text) AS owner,
                          (SELECT datname FROM pg_database WHERE oid = $1::oid) AS name
                   FROM (SELECT $2::text || '_' AS with) starts),
         locks AS MATERIALIZED (
            SELECT locktype, mode, pid, count(*) FROM lease, pg_lock_status() l WHERE l.database = db GROUP BY 1, 2, 3)
    SELECT 'session', coalesce(a.state, 'starting') || ', process ' || a.pid || coalesce(', ' || nullif(a.application_name, ''), ''), 1::int8
      FROM lease, pg_stat_get_activity(NULL) a
     WHERE (a.datid = db OR a.usesysid = owner) AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
    UNION ALL
    SELECT 'lock', l.mode || ' on ' || l.locktype, sum(l.count)::int8 FROM locks l
     WHERE l.locktype <> 'advisory' AND l.pid IS NOT NULL GROUP BY l.mode, l.locktype
    UNION ALL
    SELECT 'advisory lock', 'process ' || coalesce(l.pid::text, 'of a prepared transaction'), sum(l.count)::int8 FROM locks l
     WHERE l.locktype = 'advisory' GROUP BY l.pid
    UNION ALL
    SELECT 'prepared transaction', p.gid, 1 FROM lease, pg_prepared_xacts p WHERE p.database = name OR p.owner = role
    UNION ALL
    SELECT 'slot', s.slot_name::text, 1 FROM lease, pg_replication_slots s
     WHERE s.datoid = db OR starts_with(s.slot_name::text, prefix)
    UNION ALL
    SELECT 'role', r.rolname::text, 1 FROM lease, pg_roles r WHERE starts_with(r.rolname::text, prefix)
    UNION ALL
    SELECT 'database', d.datname::text, 1 FROM lease, pg_database d
     WHERE d.oid <> db AND (d.datdba = owner OR starts_with(d.datname::text, prefix))
    UNION ALL
    SELECT 'subscription', s.subname::text, 1 FROM lease, pg_subscription s WHERE s.subdbid = db{temporary}";

pub(super) const TEMPORARY: &str = "
    UNION ALL
    SELECT 'temporary file', f.name, 1 FROM lease, pg_ls_tmpdir() f, pg_stat_get_activity(NULL) a
     WHERE a.datid = db AND starts_with(f.name, 'pgsql_tmp' || a.pid || '.')";
