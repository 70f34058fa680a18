INSERT INTO imported (stay, agreed) VALUES (?1, ?2) ON CONFLICT (stay) DO UPDATE SET agreed = excluded.agreed
