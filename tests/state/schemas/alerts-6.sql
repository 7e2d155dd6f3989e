PRAGMA application_id = 1868652908;
PRAGMA user_version = 6;
BEGIN TRANSACTION;
CREATE TABLE about (
        sequence INTEGER NOT NULL, fingerprint TEXT NOT NULL,
        droppable INTEGER NOT NULL, superseded INTEGER NOT NULL,
        PRIMARY KEY (sequence, fingerprint)
    ) WITHOUT ROWID;
INSERT INTO "about" VALUES(1,'1bc998f5344e2361445c2dab5a7b7a58',0,0);
INSERT INTO "about" VALUES(1,'c01c044639e645cc748b023778d165ae',0,0);
INSERT INTO "about" VALUES(2,'1bc998f5344e2361445c2dab5a7b7a58',0,0);
INSERT INTO "about" VALUES(3,'1bc998f5344e2361445c2dab5a7b7a58',0,0);
INSERT INTO "about" VALUES(4,'c01c044639e645cc748b023778d165ae',0,0);
CREATE TABLE acknowledgement (fingerprint TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
INSERT INTO "acknowledgement" VALUES('c01c044639e645cc748b023778d165ae',1795341609.0);
CREATE TABLE channel (
        name TEXT PRIMARY KEY, attempts INTEGER NOT NULL DEFAULT 0, undeliverable INTEGER NOT NULL DEFAULT 0,
        last_success REAL, last_acknowledged REAL
    ) WITHOUT ROWID;
INSERT INTO "channel" VALUES('hook',1,0,1795341603.0,NULL);
INSERT INTO "channel" VALUES('mail',1,1,NULL,NULL);
INSERT INTO "channel" VALUES('phone',1,0,NULL,1795341609.0);
CREATE TABLE failure (
        channel TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (channel, reason)
    ) WITHOUT ROWID;
INSERT INTO "failure" VALUES('mail','unauthorized',1);
INSERT INTO "failure" VALUES('phone','timeout',1);
CREATE TABLE message (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        channel TEXT NOT NULL,
        body TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'pending',
        made_at REAL NOT NULL,
        retry_at REAL NOT NULL,
        tried_at REAL,
        done_at REAL,
        attempts INTEGER NOT NULL DEFAULT 0,
        reason TEXT,
        has_suppressed INTEGER NOT NULL DEFAULT 0
    );
INSERT INTO "message" VALUES(1,'01M81AN4R00000000000000000','hook','{"channel":"hook","at":1795341600.0,"alerts":[{"fingerprint":"c01c044639e645cc748b023778d165ae","reason":"first","family":"deadline","condition":"expiring","severity":"warning","target":"home","agents":["main","work"],"provider":"anthropic","profile":"anthropic:a","since":1795255200.0,"deadline":1795413600.0,"seen_at":1795341540.0,"summary":"soon","remedy":["do it"]},{"fingerprint":"1bc998f5344e2361445c2dab5a7b7a58","reason":"resolved","family":"availability","condition":"unusable","severity":"critical","target":"home","agents":["main"],"provider":"openai","profile":"openai:b","since":1795255200.0,"ended_at":1795341500.0,"resolution_cause":"other_trouble","cause":"auth","summary":"over"}]}','delivered',1795341600.0,1795341600.0,NULL,1795341603.0,1,NULL,0);
INSERT INTO "message" VALUES(2,'01M81AN4R00000000000000001','phone','{"channel":"phone","at":1795341601.0,"alerts":[{"fingerprint":"1bc998f5344e2361445c2dab5a7b7a58","reason":"resolved","family":"availability","condition":"unusable","severity":"critical","target":"home","agents":["main"],"provider":"openai","profile":"openai:b","since":1795255200.0,"ended_at":1795341500.0,"resolution_cause":"other_trouble","cause":"auth","summary":"over"}],"suppressed":[{"fingerprint":"ffffffffffffffffffffffffffffffff","condition":"unusable","severity":"warning","target":"home","agents":["main","work"],"provider":"anthropic","profile":"anthropic:a","began_at":1795341100.0,"ended_at":1795341200.0,"times":3}]}','pending',1795341600.0,1795341660.0,1795341603.0,NULL,1,'timeout',1);
INSERT INTO "message" VALUES(3,'01M81AN4R00000000000000002','hook','{"channel":"hook","at":1795341602.0,"alerts":[{"fingerprint":"1bc998f5344e2361445c2dab5a7b7a58","reason":"resolved","family":"availability","condition":"unusable","severity":"critical","target":"home","agents":["main"],"provider":"openai","profile":"openai:b","since":1795255200.0,"ended_at":1795341500.0,"resolution_cause":"other_trouble","cause":"auth","summary":"over"}]}','pending',1795341600.0,1795341600.0,NULL,NULL,0,NULL,0);
INSERT INTO "message" VALUES(4,'01M81AN4R00000000000000003','mail','{"channel":"mail","at":1795341600.0,"alerts":[{"fingerprint":"c01c044639e645cc748b023778d165ae","reason":"first","family":"deadline","condition":"expiring","severity":"warning","target":"home","agents":["main","work"],"provider":"anthropic","profile":"anthropic:a","since":1795255200.0,"deadline":1795413600.0,"seen_at":1795341540.0,"summary":"soon","remedy":["do it"]}]}','dead',1795341600.0,1795341600.0,NULL,1795341603.0,1,'unauthorized',0);
CREATE TABLE phone_alert (
            channel TEXT NOT NULL, fingerprint TEXT NOT NULL, name TEXT NOT NULL, fires INTEGER NOT NULL,
            PRIMARY KEY (channel, fingerprint, name)
        ) WITHOUT ROWID;
CREATE TABLE phone_notification (
            channel TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,
            is_stale INTEGER NOT NULL, withdraw_at REAL, PRIMARY KEY (channel, name)
        ) WITHOUT ROWID;
CREATE TABLE "scheduled_message" (
        channel TEXT NOT NULL, name TEXT NOT NULL, deliver_at REAL NOT NULL, PRIMARY KEY (channel, name)
    ) WITHOUT ROWID;
INSERT INTO "scheduled_message" VALUES('phone','d-1',1795414500.0);
INSERT INTO "scheduled_message" VALUES('phone','d-2',0.0);
CREATE TABLE silence (
        id TEXT PRIMARY KEY, matchers TEXT NOT NULL, until REAL NOT NULL, reason TEXT NOT NULL, created_at REAL NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "silence" VALUES('01M81AN4R00000000000000004','{"profile": "anthropic:a", "target": "home"}',1796119200.0,'moving house',1795341600.0);
CREATE TABLE state (key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "state" VALUES('damaged','dddddddddddddddddddddddddddddddd','{"key": "damaged", "slot');
INSERT INTO "state" VALUES('home|anthropic|anthropic:a|deadline|s1','c01c044639e645cc748b023778d165ae','{"key": "home|anthropic|anthropic:a|deadline|s1", "subject": {"target": "home", "provider": "anthropic", "profile": "anthropic:a", "topic": "deadline"}, "condition": "expiring", "severity": "warning", "agents": ["main", "work"], "started_at": 1794564000.0, "since": 1794477600.0, "worsened_at": 1795255200.0, "confirmed": true, "inhibited": true, "self_healing": true, "summary": "anthropic:a expires in 20 h \u2014 \u201csoon\u201d", "remedy": ["openclaw models auth login"], "cause": "auth", "deadline": 1795413600.0, "seen_at": 1795341540.0, "secret": "abababababababababababababababab", "credentials": [{"profile": "anthropic:a", "secret": "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd", "deadline": 1795413600.0}], "acknowledged_step": 259200.0, "notified": {"hook": {"severity": "warning", "condition": "expiring", "reason": "reminder", "at": 1795338000.0, "step": 86400.0, "agents": ["main", "work"], "has_arrived": true}, "phone": {"severity": "info", "condition": "expiring", "reason": "first", "at": 1794564000.0, "agents": ["main", "work"], "has_arrived": true}}, "pending": {"phone": 1795341590.0}, "suppressed": {"phone": {"fingerprint": "ffffffffffffffffffffffffffffffff", "condition": "unusable", "severity": "warning", "target": "home", "agents": ["main", "work"], "provider": "anthropic", "profile": "anthropic:a", "began_at": 1795341100.0, "ended_at": 1795341200.0, "times": 3}}, "fingerprint": "c01c044639e645cc748b023778d165ae", "facts": {"main": {"condition": "expiring", "severity": "warning", "since": 1794477600.0, "deadline": 1795413600.0, "cause": "auth", "seen_at": 1795341540.0, "self_healing": true, "inhibited": true, "began_at": 1794564000.0, "confirmed": true, "credentials": [{"profile": "anthropic:a", "secret": "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd", "deadline": 1795413600.0}], "checks": 2, "checked_at": 1795341540.0}, "work": {"condition": "expiring", "severity": "warning", "since": 1794477600.0, "deadline": 1795413600.0, "cause": "auth", "seen_at": 1795341540.0, "self_healing": true, "inhibited": true, "began_at": 1794564000.0, "confirmed": true, "credentials": [{"profile": "anthropic:a", "secret": "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd", "deadline": 1795413600.0}], "checks": 1, "checked_at": 1795341570.0}}}');
INSERT INTO "state" VALUES('home|openai|openai:b|availability|s2','1bc998f5344e2361445c2dab5a7b7a58','{"key": "home|openai|openai:b|availability|s2", "subject": {"target": "home", "provider": "openai", "profile": "openai:b", "topic": "availability"}, "condition": "unusable", "severity": "critical", "agents": ["main"], "started_at": 1795255200.0, "since": 1795255200.0, "worsened_at": 1795255200.0, "firing": false, "confirmed": true, "resolution": {"at": 1795341500.0, "reason": "renewed", "cause": "gone", "until": 1797933600.0}, "notified": {"hook": {"severity": "critical", "condition": "unusable", "reason": "escalated", "at": 1795298400.0, "agents": ["main"], "has_arrived": true}}, "fingerprint": "1bc998f5344e2361445c2dab5a7b7a58", "facts": {"main": {"condition": "unusable", "severity": "critical", "since": 1795255200.0, "began_at": 1795255200.0, "confirmed": true, "credentials": [], "checks": 0, "checked_at": null}}}');
INSERT INTO "state" VALUES('vps|||watch','42148195904c8c06fc5d9c19b0a6f671','{"key": "vps|||watch", "subject": {"target": "vps", "provider": "", "profile": "", "topic": "watch"}, "condition": "check_failed", "severity": "critical", "agents": ["main"], "started_at": 1795341600.0, "since": 1795341600.0, "worsened_at": 1795341600.0, "fingerprint": "42148195904c8c06fc5d9c19b0a6f671", "facts": {"main": {"condition": "check_failed", "severity": "critical", "since": 1795341600.0, "began_at": 1795341600.0, "confirmed": false, "credentials": [], "checks": 0, "checked_at": null}}, "notified": {}}');
CREATE TABLE "test_notification" (channel TEXT PRIMARY KEY, sent_at REAL NOT NULL) WITHOUT ROWID;
INSERT INTO "test_notification" VALUES('hook',1795341595.0);
INSERT INTO "test_notification" VALUES('phone',1794736800.0);
CREATE INDEX state_fingerprint ON state (fingerprint);
CREATE INDEX message_queue ON message (channel, sequence) WHERE state = 'pending';
CREATE INDEX about_fingerprint ON about (fingerprint, sequence);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('message',4);
COMMIT;
