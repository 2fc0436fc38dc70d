package import Models
package import Postgres

/// Takes what a service finds about somebody page by page, so that however much there is, little of it is in memory.
///
/// What is little is one report. What is more goes to consent in parts, each under the member of the report that it belongs to.
package actor PrivacyPages {
    package typealias Send =
        @Sendable (_ part: Int, _ member: String, _ items: [JSON]) async throws -> Void

    /// Bytes of what is sent as one part.
    static let partBytes = 2 << 20

    private let limit: Int
    private let send: Send
    private var held: [(member: String, items: [JSON])] = []
    private var bytes = 0
    private var parts = 0

    package init(limit: Int, send: @escaping Send) {
        self.limit = limit
        self.send = send
    }

    /// Takes the next items of a member, which is in the report also where it has none.
    package func take(_ member: String, _ items: [JSON]) async throws {
        var page: [JSON] = []
        for item in items {
            page.append(item)
            bytes += item.compact.utf8.count
            if bytes >= limit {
                hold(member, page)
                page = []
                try await flush()
            }
        }
        hold(member, page)
    }

    private func hold(_ member: String, _ items: [JSON]) {
        if held.last?.member == member {
            held[held.count - 1].items += items
        } else {
            held.append((member, items))
        }
    }

    private func flush() async throws {
        for (member, items) in held {
            try await send(parts, member, items)
            parts += 1
        }
        (held, bytes) = ([], 0)
    }

    /// What stands in the report itself, and how many parts were sent: one of the two is empty.
    package func finish() async throws -> (members: [String: [JSON]], parts: Int) {
        guard parts == 0 else {
            try await flush()
            return ([:], parts)
        }
        var members: [String: [JSON]] = [:]
        for (member, items) in held { members[member, default: []] += items }
        return (members, 0)
    }
}

extension PrivacyHandler {
    /// Everything that there is about somebody at once, for whom it is known of that it is little.
    package func everything(
        _ request: PrivacyRequest, _ transaction: PostgresTransaction
    ) async throws -> JSON {
        let pages = PrivacyPages(limit: .max) { _, _, _ in }
        let found = try await access(request, transaction)
        try await self.pages?(request, transaction, pages)
        return found.adding(try await pages.finish().members)
    }
}

extension JSON {
    /// An object with lists more; anything else unchanged.
    func adding(_ lists: [String: [JSON]]) -> JSON {
        guard case .object(var members) = self else { return self }
        for (name, items) in lists { members[name] = .array(items) }
        return .object(members)
    }
}
