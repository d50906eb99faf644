BEGIN TRANSACTION;
CREATE TABLE ask (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, request_id TEXT NOT NULL REFERENCES request (id),
    place TEXT NOT NULL, excerpt TEXT NOT NULL, purpose TEXT NOT NULL,
    client TEXT NOT NULL, pid INTEGER NOT NULL, started REAL NOT NULL, asked_at REAL NOT NULL
);
INSERT INTO "ask" VALUES(1,'0a1b2c3d','src/a.py:7','an excerpt','a purpose','client 1.0',77,1767000000.5,1767322860.25);
INSERT INTO "ask" VALUES(2,'0a1b2c3d','src/b.py:1','an excerpt','a purpose','client 1.0',77,1767000000.5,1767322920.25);
INSERT INTO "ask" VALUES(3,'1b2c3d4e','commit message','an excerpt','a purpose','client 1.0',77,1767000000.5,1767323040.25);
INSERT INTO "ask" VALUES(4,'2c3d4e5f','docs/c.md:3','an excerpt','a purpose','client 1.0',77,1767000000.5,1767323340.25);
CREATE TABLE decision (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, request_id TEXT NOT NULL REFERENCES request (id),
    key TEXT NOT NULL, answer TEXT NOT NULL, scope TEXT NOT NULL, reason TEXT NOT NULL,
    channel TEXT NOT NULL, decided_by TEXT NOT NULL, decided_at REAL NOT NULL
);
INSERT INTO "decision" VALUES(1,'0a1b2c3d','zorblatt','grant','["src/a.py", "src/b.py"]','','review','somebody',1767323160.25);
INSERT INTO "decision" VALUES(2,'1b2c3d4e','quimbrel','refuse','[]','not yet','review','somebody',1767323220.25);
INSERT INTO "decision" VALUES(3,'1b2c3d4e','quimbrel','withdraw','[]','','withdraw','somebody',1767323280.25);
CREATE TABLE request (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL, surface TEXT NOT NULL, base TEXT NOT NULL, base_reason TEXT NOT NULL,
    created_at REAL NOT NULL, expires_at REAL NOT NULL
);
INSERT INTO "request" VALUES(1,'0a1b2c3d','zorblatt','Zorblatt','0000000000000000000000000000000000000000','local default branch main (no upstream)',1767322980.25,1767409380.25);
INSERT INTO "request" VALUES(2,'1b2c3d4e','quimbrel','Quimbrel GmbH','0000000000000000000000000000000000000000','local default branch main (no upstream)',1767323100.25,1767409500.25);
INSERT INTO "request" VALUES(3,'2c3d4e5f','vexomar','Vexomar','0000000000000000000000000000000000000000','local default branch main (no upstream)',1767323400.25,5767323400.25);
CREATE INDEX request_by_key ON request (key);
CREATE INDEX ask_by_request ON ask (request_id);
CREATE INDEX decision_by_key ON decision (key);
CREATE UNIQUE INDEX one_answer ON decision (request_id) WHERE answer <> 'withdraw';
CREATE UNIQUE INDEX one_withdrawal ON decision (request_id) WHERE answer = 'withdraw';
CREATE TRIGGER decision_is_final BEFORE UPDATE ON decision
    BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER decision_is_first BEFORE INSERT ON decision
    WHEN EXISTS (
        SELECT 1 FROM decision WHERE seq = NEW.seq OR
        (request_id = NEW.request_id AND (answer = 'withdraw') = (NEW.answer = 'withdraw'))
    )
    BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER decision_stays BEFORE DELETE ON decision
    BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('request',3);
INSERT INTO "sqlite_sequence" VALUES('ask',4);
INSERT INTO "sqlite_sequence" VALUES('decision',3);
COMMIT;
PRAGMA user_version = 1;
