-- From format 5 to 6: files of meetings and participants that were there without the journal, and whose pages it does not have.

ALTER TABLE listed_file ADD COLUMN adopted INTEGER NOT NULL DEFAULT 0;
