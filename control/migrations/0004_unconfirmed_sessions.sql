-- The token whose session key was given and not yet shown: its agent may never have got it.
ALTER TABLE agent_credentials ADD COLUMN unconfirmed_hash BLOB;
