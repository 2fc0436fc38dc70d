package import Models
import Postgres
package import Sealing
import ServiceKit

extension TestDatabase {
    /// What a service seals with in this database, as `ServiceHarness` and a service without settings do.
    package func vault(of service: ServiceName) -> Vault {
        Vault(schema: service.schema, settings: settings(as: service), keys: TestKeys.derived)
    }
}

extension Vault {
    /// One for tests that need the keys of profiles alone: it has no database for others.
    package static let ofTests = Vault(
        schema: "none", settings: PostgresSettings(),
        keys: TestKeys.derived)
}

/// The keys of tests.
package enum TestKeys {
    /// What a service has that was given none but `ServiceHarness.secret`.
    package static let derived = KeyEncryptionKeys([], oldest: [.derived(from: ServiceHarness.secret)])
}
