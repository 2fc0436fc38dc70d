import HTTPTypes
import Models
import Postgres
import Synchronization

/// Records what is asked of a service's routes: nothing of people leaves before it is on disk who has asked for it, and no
/// change is committed without who has made it.
struct AuditTrail: Sendable {
    let log: AuditLog
    let writer: AuditWriter
    let clock: ServiceClock

    init(_ log: AuditLog, pool: PostgresPool, clock: ServiceClock) {
        self.log = log
        self.clock = clock
        writer = AuditWriter(log, pool: pool, clock: clock)
    }

    /// Runs the handler of a route and records what has become of it.
    func recorded(
        _ request: ServiceRequest, at route: ServiceRouter.Route, _ handler: ServiceRouter.Handler
    ) async throws -> ServiceResponse {
        let draft = try draft(request, at: route)
        guard let draft else { return try await handler(request) }
        do {
            return route.touches == .changes
                ? try await changed(draft, request, handler)
                : try await read(draft, request, handler)
        } catch let problem as Problem {
            try await refused(draft, request, problem)
            throw problem
        } catch let error {
            try await refused(draft, request, Problem.from(error))
            throw error
        }
    }

    /// Records that a caller was refused before it came to the handler.
    func refused(_ request: ServiceRequest, at route: ServiceRouter.Route, _ problem: Problem) async throws {
        guard let draft = try draft(request, at: route) else { return }
        try await refused(draft, request, problem)
    }

    // MARK: What becomes of it

    private func read(
        _ draft: AuditEntry, _ request: ServiceRequest, _ handler: ServiceRouter.Handler
    ) async throws -> ServiceResponse {
        var entry = draft
        entry.target = Self.target(of: request, trusting: false)
        var request = request
        let duty = AuditDuty(log, entry)
        request.auditDuty = duty
        let answer = try await handler(request)
        if duty.isFulfilled || Self.isIdle(request, answer, draft) { return answer }
        entry.status = answer.status.code
        entry.subjects = AuditSubjects.named(in: request, and: answer.body)
        try await writer.write(entry)
        return answer
    }

    /// A stream that was asked for what is new, and had nothing: nobody was shown, and who waits at the end of one would else write
    /// an entry with every poll.
    private static func isIdle(
        _ request: ServiceRequest, _ answer: ServiceResponse, _ draft: AuditEntry
    ) -> Bool {
        draft.action == .read && request.path.hasPrefix("/v1/streams/") && answer.status == .ok
            && answer.streamed == nil && answer.body.isEmpty
    }

    private func changed(
        _ draft: AuditEntry, _ request: ServiceRequest, _ handler: ServiceRouter.Handler
    ) async throws -> ServiceResponse {
        var entry = draft
        entry.target = Self.target(of: request, trusting: true)
        let (committed, now) = (entry, try await clock.now())
        let store = AuditStore(log)
        let isWritten = Mutex(false)
        let isOver = Mutex(false)
        let hook = CommitHook { transaction in
            // What a handler has set going goes on by itself, and is no longer the caller's doing.
            if isOver.withLock({ $0 }) { return }
            guard try await CommitHook.hasWritten(transaction) else { return }
            try await store.append([committed], at: now, in: transaction)
            isWritten.withLock { $0 = true }
        }
        defer { isOver.withLock { $0 = true } }
        let answer = try await CommitHook.$beforeCommit.withValue(hook) { try await handler(request) }
        if isWritten.withLock({ $0 }) { return answer }
        entry.outcome = .unchanged
        entry.status = answer.status.code
        try await writer.write(entry)
        return answer
    }

    private func refused(
        _ draft: AuditEntry, _ request: ServiceRequest, _ problem: Problem?
    ) async throws {
        let status = problem?.status.code ?? 500
        guard status != HTTPResponse.Status.tooManyRequests.code else { return }
        let isRefusal = (400..<500).contains(status)
        // What fails because something is away shows nothing; what was to be written may have been, in part.
        guard isRefusal || draft.action == .write else { return }
        var entry = draft
        entry.outcome = isRefusal ? .refused : .failed
        entry.status = status
        entry.target = Self.target(of: request, trusting: false)
        entry.subjects = AuditSubjects.named(in: request, and: [])
        try await writer.write(entry)
    }

    // MARK: What is recorded

    /// Nil where nothing is to be recorded: definitions are no secret, and services read what they need to work.
    private func draft(
        _ request: ServiceRequest, at route: ServiceRouter.Route
    ) throws(Problem) -> AuditEntry? {
        guard let touches = route.touches, case .scope(let scope) = route.access else { return nil }
        let action: AuditEntry.Action
        switch (touches, request.caller) {
        case (.definitions, _), (_, .anonymous): return nil
        case (.changes, _): action = .change
        case (_, .service(let service)) where service != .console: return nil
        default: action = scope.rawValue.hasSuffix(":read") ? .read : .write
        }
        return AuditEntry(
            actor: request.caller.label, action: action, route: "\(route.method.rawValue) \(route.path)",
            reason: try Self.reason(of: request))
    }

    private static let longestReason = 200

    /// Why the caller asks. It stays for ever, so it may name nobody.
    private static func reason(of request: ServiceRequest) throws(Problem) -> String? {
        guard let reason = request.header(.reason), !reason.isEmpty else { return nil }
        guard reason.utf8.count <= longestReason, reason.utf8.allSatisfy({ (0x20...0x7E).contains($0) }),
            !PersonalNames.looksPersonal(reason)
        else {
            throw .badRequest(
                "`X-Martlet-Reason` must have at most \(longestReason) printable ASCII characters and name nobody; "
                    + "name a ticket")
        }
        return reason
    }

    /// The ids in the path. What isn't an id of ours is taken only where it is the name of a definition that there is.
    private static func target(of request: ServiceRequest, trusting: Bool) -> String? {
        let parts = request.pathValues.filter { name, value in
            value.utf8.count == 36 && ProfileID(value) != nil
                || trusting && name != "key" && !PersonalNames.looksPersonal(value) && value.utf8.count <= 200
        }
        return parts.isEmpty ? nil : parts.map(\.value).joined(separator: "/")
    }
}

extension HTTPField.Name {
    /// Why somebody asks, for the audit log.
    static let reason: Self = {
        guard let name = Self("X-Martlet-Reason") else { preconditionFailure("a token is a name") }
        return name
    }()
}
