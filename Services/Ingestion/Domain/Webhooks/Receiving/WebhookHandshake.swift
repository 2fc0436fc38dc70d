/// The handshake that CloudEvents senders (Azure Event Grid among them) make before they deliver: may we send to you
/// (CloudEvents, "HTTP 1.1 Web Hooks for Event Delivery" 1.0, section 4). It authenticates nobody; it keeps senders
/// from being pointed at those who never asked.
package struct WebhookHandshake: Hashable, Sendable {
    /// Names of senders that may ask, such as `eventgrid.azure.net`; empty lets everybody.
    package var allowedOrigins: [String]
    /// Requests a minute; nil grants any rate.
    package var ratePerMinute: Int?

    package init(allowedOrigins: [String] = [], ratePerMinute: Int? = nil) {
        self.allowedOrigins = allowedOrigins
        self.ratePerMinute = ratePerMinute
    }

    /// The headers of the answer (200) to an OPTIONS request with `headers`, by names in lower case. Nil where it is no
    /// handshake or is not granted: answer 405, without the headers, as the specification has it.
    ///
    /// `WebHook-Request-Callback` is not called: the grant is in the answer, and a URL out of an unauthenticated
    /// request is nothing to fetch.
    package func answer(headers: [String: String]) -> [(name: String, value: String)]? {
        guard let origin = headers["webhook-request-origin"]?.trimmed, Self.isName(origin) else { return nil }
        let origins = allowedOrigins.map { $0.lowercased() }
        guard origins.isEmpty || origins.contains(origin.lowercased()) else { return nil }
        return [
            ("Allow", "POST"), ("WebHook-Allowed-Origin", origin),
            ("WebHook-Allowed-Rate", ratePerMinute.map { String(max(1, $0)) } ?? "*"),
        ]
    }

    /// A name of the DNS, which may be sent back without a second thought.
    private static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 253
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                    UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }
}
