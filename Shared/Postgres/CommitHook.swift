/// Work that is to be part of every transaction that a task commits, such as saying in it who has asked for the change.
///
/// An object, as a task's own values must not be functions: where optimised code puts such a one there, the process ends
/// (Swift 6.3).
package final class CommitHook: Sendable {
    package typealias Work = @Sendable (PostgresTransaction) async throws -> Void

    /// Run before COMMIT, in the transaction; an error rolls back.
    package let work: Work

    /// That of this task. Statements that are run without a transaction get one.
    @TaskLocal package static var beforeCommit: CommitHook?

    package init(_ work: @escaping Work) { self.work = work }

    /// Whether the transaction has changed or locked anything so far.
    package static func hasWritten(_ transaction: PostgresTransaction) async throws -> Bool {
        try await transaction.query("SELECT pg_current_xact_id_if_assigned() IS NOT NULL AS written")
            .first?.get("written") ?? false
    }
}
