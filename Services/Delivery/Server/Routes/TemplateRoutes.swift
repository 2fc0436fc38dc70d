import DeliveryDomain
import HTTPTypes
import Models
import Postgres
import ServiceKit

/// `/v1/templates`: what mails say.
struct TemplateRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let store: TemplateStore

    func add(to router: ServiceRouter) {
        router.get("/v1/templates", scope: .deliveryRead, touches: .definitions) { try await list($0) }
        router.get("/v1/templates/{id}", scope: .deliveryRead, touches: .definitions) { try await get($0) }
        router.put("/v1/templates/{id}", scope: .deliveryWrite, touches: .changes) { try await put($0) }
        router.delete("/v1/templates/{id}", scope: .deliveryWrite, touches: .changes) { try await delete($0) }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...200, default: 50)
        let after = try Cursor.decode(request.query("cursor"), count: 1)?.first
        let found = try await store.page(after: after, limit: limit + 1, in: pool)
        let page = found.prefix(limit)
        return .page(
            page.map(\.json), nextCursor: found.count > limit ? page.last.map { Cursor.encode([$0.id]) } : nil
        )
    }

    private func get(_ request: ServiceRequest) async throws -> ServiceResponse {
        guard let template = try await store.find(try Self.id(request), in: pool) else { throw Self.unknown }
        return .json(template.json, headers: [.eTag: Self.tag(template.version)])
    }

    private func put(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try Self.id(request)
        let fields = try JSONFields(try await request.json(maxBytes: 2 << 20))
        // `id` and `description` may stand in a file that is kept elsewhere and sent as it is.
        if let unknown = fields.members.keys.filter({
            !["id", "description", "subject", "html", "text"].contains($0)
        }).min() {
            throw DecodingProblem(
                path: unknown, expected: "subject, html and text", message: "\(unknown) is not known here")
        }
        if let named = try fields.optionalString("id"), named != id {
            throw fields.problem("id", expected: "the id in the path, or nothing")
        }
        _ = try fields.optionalString("description")
        let (subject, html, text) = (
            try fields.string("subject"), try fields.string("html"), try fields.string("text")
        )
        do {
            _ = try MailTemplate(subject: subject, html: html, text: text)
        } catch {
            throw Problem(
                status: .unprocessableContent, type: "invalid-template", title: "The template has mistakes",
                detail: error.list.first.map {
                    "\($0.part.rawValue), line \($0.error.line), column \($0.error.column): \($0.error.message);"
                        + " expected \($0.error.expected)"
                },
                extensions: ["errors": .array(error.list.map(\.json))])
        }
        let now = try await clock.now()
        let (version, isNew) = try await pool.transaction { transaction in
            let current = try await store.lockVersion(id, in: transaction)
            try Self.checkPreconditions(request, current: current)
            let version = try await store.put(
                id, subject: subject, html: html, text: text, at: now, in: transaction)
            return (version, current == nil)
        }
        let body: JSON = [
            "id": .string(id), "version": .integer(Int64(version)), "subject": .string(subject),
            "html": .string(html), "text": .string(text), "updatedAt": .string(now.rfc3339),
        ]
        return .json(body, status: isNew ? .created : .ok, headers: [.eTag: Self.tag(version)])
    }

    private func delete(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try Self.id(request)
        try await pool.transaction { transaction in
            guard let current = try await store.lockVersion(id, in: transaction) else { throw Self.unknown }
            try Self.checkPreconditions(request, current: current)
            try await store.delete(id, in: transaction)
        }
        return .empty()
    }

    private static let unknown = Problem.notFound("no such template", type: "unknown-template")

    private static func tag(_ version: Int) -> String { "\"\(version)\"" }

    private static func checkPreconditions(_ request: ServiceRequest, current: Int?) throws(Problem) {
        let tag = current.map(String.init)
        if let wanted = request.ifMatch, tag == nil || !(wanted.contains("*") || wanted.contains(tag ?? "")) {
            throw .preconditionFailed(
                "the template's version is \(tag ?? "none"); read it again before you change it")
        }
        if let unwanted = request.ifNoneMatch, let tag, unwanted.contains("*") || unwanted.contains(tag) {
            throw .preconditionFailed("the template is there already, in version \(tag)")
        }
    }

    /// Letters, digits, hyphens, underscores and dots, at most 100.
    private static func id(_ request: ServiceRequest) throws(Problem) -> String {
        let id = try request.path("id")
        let isFine = id.utf8.allSatisfy { byte in
            switch byte {
            case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."): true
            default: false
            }
        }
        guard isFine, id.utf8.count <= 100 else {
            throw .badRequest(
                "the id of a template has at most 100 letters, digits, hyphens, underscores and dots")
        }
        return id
    }
}
