PRAGMA application_id = 1868653420;
PRAGMA user_version = 3;
BEGIN TRANSACTION;
CREATE TABLE agent (
        target TEXT NOT NULL, agent TEXT NOT NULL, history TEXT NOT NULL, observation TEXT,
        PRIMARY KEY (target, agent)
    ) WITHOUT ROWID;
INSERT INTO "agent" VALUES('home','main','{"profiles":{"anthropic:default":{"profile":"anthropic:default","provider":"anthropic","kind":"token","first_seen_at":1794564000.0,"last_seen_at":1795341600.0,"secret_hash":"hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh","deadline":1795341605.0,"gone_at":null,"supplied_dates_from":0.0},"anthropic:old":{"profile":"anthropic:old","provider":"anthropic","kind":"token","first_seen_at":1787565600.0,"last_seen_at":1795255200.0,"secret_hash":"gggggggggggggggggggggggggggggggg","deadline":1795255200.0,"gone_at":1795338000.0,"supplied_dates_from":1795255200.0}},"since":{"expiring|anthropic|anthropic:default":1795341540.0},"serving":{"anthropic":"token"},"changed":{"anthropic":{"before":"api_key","now":"token","at":1795341480.0}},"supplied":{},"latest":1795341600.0}','{"target":"home","agent":"main","source":"openclaw","dialect":"routes","observed_at":1795341600.0,"profiles":[{"id":"anthropic:default","provider":"anthropic","kind":"token","status":"ok","reason_code":null,"expires_at":1795341605.0,"login_ends_at":null,"has_refresh_token":false,"secret_hash":"hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh","unusable":{"kind":"cooldown","reason":"auth","until":1795341600.0,"model":null},"last_used_at":null,"error_count":null}],"providers_in_use":["anthropic"],"models_in_use":["anthropic/claude-opus-5"],"order":{"anthropic":["anthropic:default"]},"missing_providers":["openai"],"indeterminate_providers":[],"refreshing_providers":[],"faulty_providers":[],"openclaw_exit_code":null,"openclaw_version":null,"usage":[{"provider":"anthropic","window":"5h","used_ratio":0.5,"resets_at":1795341600.0}],"usage_error":null,"blind_to":[],"notes":[]}');
INSERT INTO "agent" VALUES('home','work','{"profiles": {}, "since": {}, "serving": {}, "changed": {}, "supplied": {}, "latest": 1795341600.0}',NULL);
INSERT INTO "agent" VALUES('vps','main','{"profiles": {"a',NULL);
CREATE TABLE "cache" (key TEXT PRIMARY KEY, at REAL NOT NULL, text TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "cache" VALUES('agents:home',1795341600.0,'["main"]');
CREATE TABLE secret (key BLOB NOT NULL);
INSERT INTO "secret" VALUES(X'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F');
CREATE TABLE "supplied_date" (
        profile TEXT PRIMARY KEY, issued_at REAL, expires_at REAL, supplied_at REAL NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "supplied_date" VALUES('anthropic:default',NULL,1803117600.0,1795341540.0);
INSERT INTO "supplied_date" VALUES('home/main/anthropic:old',1792749600.0,NULL,1795341570.0);
COMMIT;
