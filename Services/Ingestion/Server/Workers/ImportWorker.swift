import Logging
import Models
import Postgres
import ServiceLifecycle
import Streams

/// Takes files in, one at a time, so that what people send at the moment goes first. Instances share the imports: each
/// is leased by an advisory lock of a session, which dies with its process.
struct ImportWorker: Service {
    let pool: PostgresPool
    let store: ImportStore
    let runner: ImportRunner
    let hub: WakeHub
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown { await loop() }
    }

    private func loop() async {
        while !Task.isCancelled {
            let ticket = await hub.ticket([ImportStore.channel])
            do {
                if try await runOne() { continue }
                await hub.wait(ticket, upTo: .seconds(5))
            } catch {
                if Task.isCancelled { return }
                logger.debug("imports are not at work; trying again", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    /// Takes in the oldest import that nobody else is at; false when there is none.
    func runOne() async throws -> Bool {
        let waiting = try await store.running()
        guard !waiting.isEmpty else { return false }
        // The lock ends with this connection, whatever becomes of the process.
        let connection = try await PostgresConnection.open(pool.settings)
        for id in waiting {
            let isFree = try await connection.query(
                "SELECT pg_try_advisory_lock(\(Self.key), \(Self.key(of: id))) AS taken"
            ).first?.get("taken", as: Bool.self)
            guard isFree == true else { continue }
            try await runner.run(id)
            _ = try await connection.query("SELECT pg_advisory_unlock(\(Self.key), \(Self.key(of: id)))")
            return true
        }
        return false
    }

    static let key = Int32(truncatingIfNeeded: StableHash.hash64("import-lease"))

    static func key(of id: ImportID) -> Int32 {
        Int32(truncatingIfNeeded: StableHash.hash64(id.description))
    }
}
