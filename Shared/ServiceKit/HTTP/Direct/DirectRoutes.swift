/// The routes that have a direct handler beside their usual one, for services that live from the number of small
/// requests.
struct DirectRoutes: Sendable {
    /// Larger bodies go the usual way.
    static let bodyBytes = 64 << 10

    private let handlers: [String: DirectHandler]

    /// Direct handlers of POST by path.
    init(_ handlers: [String: DirectHandler]) {
        self.handlers = handlers
    }

    var isEmpty: Bool { handlers.isEmpty }

    /// The handler for a request, by its head alone: a plain POST from somebody without a bearer token, with a small
    /// body.
    func handler(for head: PlainHead) -> DirectHandler? {
        guard head.isPlain, head.isPost, head.bodySize <= Self.bodyBytes,
            !(head.authorization?.prefix(7).lowercased() == "bearer ")
        else { return nil }
        return handlers[head.path]
    }
}
