/// Work that is to be part of every transaction that a task commits, such as saying in it who has asked for the change.
package enum CommitHook {
    package typealias Work = @Sendable (PostgresTransaction) async throws -> Void

    /// Run before COMMIT, in the transaction; an error rolls back. Statements that are run without a transaction get one.
    @TaskLocal package static var beforeCommit: Work?

    /// Whether the transaction has changed or locked anything so far.
    package static func hasWritten(_ transaction: PostgresTransaction) async throws -> Bool {
        try await transaction.query("SELECT pg_current_xact_id_if_assigned() IS NOT NULL AS written")
            .first?.get("written") ?? false
    }
}
