SELECT stay, number, samples, next_token, digest, body, file, line FROM parked ORDER BY stay, number, id
