package import Sealing

extension ServiceSettings {
    /// What the key for looking up identifiers is derived from, the same for all services:
    /// `MARTLET_IDENTIFIER_SECRET` (or `…_FILE`), else the secret that service tokens are signed with. With the
    /// first, the second can be changed without losing sight of every identifier.
    package func identifierSecret() throws(SettingsError) -> String {
        if string("IDENTIFIER_SECRET") != nil || string("IDENTIFIER_SECRET_FILE") != nil {
            return try secret("IDENTIFIER_SECRET")
        }
        return try secret("SERVICE_SECRET")
    }

    /// The keys that data keys are wrapped under, the same for all services: `MARTLET_KEY_ENCRYPTION_KEYS` (or
    /// `…_FILE`, which is read again when it changes). A key derived from the identifier secret comes last: it opens what
    /// was wrapped before there were any, and wraps where there are none.
    package func keyEncryptionKeys() throws(SettingsError) -> KeyEncryptionKeys {
        let name = "KEY_ENCRYPTION_KEYS"
        let derived = KeyEncryptionKeys.Entry.derived(from: try identifierSecret())
        guard string(name) != nil || string(name + "_FILE") != nil else {
            return KeyEncryptionKeys([], oldest: [derived])
        }
        let read: @Sendable () throws(SettingsError) -> [KeyEncryptionKeys.Entry] = {
            () throws(SettingsError) in
            let text = try secret(name)
            do { return try KeyEncryptionKeys.parse(text) } catch {
                throw .invalid("MARTLET_" + name, expected: "a list of keys; \(error)")
            }
        }
        return KeyEncryptionKeys(try read(), oldest: [derived], source: { try read() })
    }
}
