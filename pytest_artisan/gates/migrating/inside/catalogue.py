"""What a PostgreSQL database is made of, as its own catalogue writes it down: pairs of a name for people and a definition."""

from __future__ import annotations

# Where a thing is the user's own: not the server's, and not of an extension, which comes and goes as a whole.
_OWN = r"""n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = x.oid AND d.deptype = 'e')"""

_QUERIES = (
    "SELECT 'schema ' || nspname, coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace "
    "WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'",
    "SELECT 'extension ' || extname, extversion FROM pg_extension",
    """SELECT CASE x.relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' WHEN 'S' THEN 'sequence '
            WHEN 'c' THEN 'type ' ELSE 'table ' END || x.oid::regclass,
        concat_ws(' ', CASE x.relpersistence WHEN 'u' THEN 'unlogged' END, CASE WHEN x.relrowsecurity THEN 'row security' END,
            CASE WHEN x.relforcerowsecurity THEN 'forced' END, x.reloptions::text, pg_get_partkeydef(x.oid),
            pg_get_expr(x.relpartbound, x.oid), CASE WHEN x.relkind IN ('v', 'm') THEN pg_get_viewdef(x.oid) END,
            (SELECT concat_ws(' ', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle)
                FROM pg_sequence s WHERE s.seqrelid = x.oid),
            (SELECT string_agg('of ' || i.inhparent::regclass, ' ' ORDER BY i.inhseqno)
                FROM pg_inherits i WHERE i.inhrelid = x.oid),
            obj_description(x.oid, 'pg_class'))
        FROM pg_class x JOIN pg_namespace n ON n.oid = x.relnamespace WHERE x.relkind IN ('r','p','f','v','m','S','c') AND (own)""",
    """SELECT 'column ' || x.oid::regclass || '.' || a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod),
            CASE WHEN a.attnotnull THEN 'NOT NULL' ELSE 'NULL' END, 'default ' || pg_get_expr(e.adbin, e.adrelid),
            'identity ' || nullif(a.attidentity::text, ''), 'generated ' || nullif(a.attgenerated::text, ''),
            (SELECT 'collate ' || c.collname FROM pg_collation c JOIN pg_type t ON t.oid = a.atttypid
                WHERE c.oid = a.attcollation AND t.typcollation <> a.attcollation), col_description(x.oid, a.attnum))
        FROM pg_attribute a JOIN pg_class x ON x.oid = a.attrelid JOIN pg_namespace n ON n.oid = x.relnamespace
        LEFT JOIN pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
        WHERE a.attnum > 0 AND NOT a.attisdropped AND x.relkind IN ('r','p','f','c') AND (own)""",
    """SELECT 'constraint ' || x.conname || ' of ' || CASE WHEN x.conrelid = 0 THEN x.contypid::regtype::text
            ELSE x.conrelid::regclass::text END, concat_ws(' ', pg_get_constraintdef(x.oid), obj_description(x.oid, 'pg_constraint'))
        FROM pg_constraint x JOIN pg_namespace n ON n.oid = x.connamespace WHERE (own)""",
    """SELECT 'index ' || i.indexrelid::regclass || ' of ' || i.indrelid::regclass,
            concat_ws(' ', pg_get_indexdef(x.oid), CASE WHEN NOT i.indisvalid THEN 'INVALID' END)
        FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_namespace n ON n.oid = x.relnamespace WHERE (own)""",
    """SELECT 'trigger ' || t.tgname || ' of ' || x.oid::regclass, pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text
        FROM pg_trigger t JOIN pg_class x ON x.oid = t.tgrelid JOIN pg_namespace n ON n.oid = x.relnamespace
        WHERE NOT t.tgisinternal AND (own)""",
    """SELECT 'function ' || x.oid::regprocedure, CASE WHEN x.prokind <> 'a' THEN pg_get_functiondef(x.oid) ELSE 'aggregate' END
        FROM pg_proc x JOIN pg_namespace n ON n.oid = x.pronamespace WHERE (own)""",
    """SELECT CASE x.typtype WHEN 'e' THEN 'enum ' ELSE 'domain ' END || x.oid::regtype, CASE x.typtype WHEN 'e' THEN
            (SELECT string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = x.oid)
            ELSE concat_ws(' ', format_type(x.typbasetype, x.typtypmod), CASE WHEN x.typnotnull THEN 'NOT NULL' END,
                'default ' || x.typdefault) END
        FROM pg_type x JOIN pg_namespace n ON n.oid = x.typnamespace WHERE x.typtype IN ('e', 'd') AND (own)""",
    """SELECT 'policy ' || p.polname || ' of ' || x.oid::regclass, concat_ws(' ', p.polcmd, p.polpermissive, p.polroles::regrole[],
            pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
        FROM pg_policy p JOIN pg_class x ON x.oid = p.polrelid JOIN pg_namespace n ON n.oid = x.relnamespace WHERE (own)""",
    """SELECT 'rule ' || r.rulename || ' of ' || x.oid::regclass, pg_get_ruledef(r.oid)
        FROM pg_rewrite r JOIN pg_class x ON x.oid = r.ev_class JOIN pg_namespace n ON n.oid = x.relnamespace
        WHERE r.rulename <> '_RETURN' AND (own)""",
)

QUERIES = tuple(query.replace("(own)", _OWN) for query in _QUERIES)
