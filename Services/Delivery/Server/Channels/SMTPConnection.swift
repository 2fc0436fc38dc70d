import CCurl
import DeliveryDomain

/// One conversation after another with an SMTP server, over a connection that stays open between them.
actor SMTPConnection {
    private let executor = BlockingExecutor(label: "martlet.smtp")
    private let settings: SMTPSettings
    /// Touched on the executor alone.
    private var handle: OpaqueHandle?

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(_ settings: SMTPSettings) {
        self.settings = settings
    }

    /// Blocks the actor's own thread until the server has answered or the time is over.
    func send(_ mail: OutgoingMail) -> SMTPOutcome {
        let isReused = handle != nil
        let source = SMTPSource(mail.mime.bytes)
        let outcome = attempt(mail, from: source)
        guard case .unreachable = outcome, isReused, !source.hasStarted else { return outcome }
        // The server had closed the connection since the last mail: no attempt was made at this one yet.
        return attempt(mail, from: SMTPSource(mail.mime.bytes))
    }

    private func attempt(_ mail: OutgoingMail, from source: SMTPSource) -> SMTPOutcome {
        guard let handle = handle ?? OpaqueHandle() else { return .unreachable("libcurl has no memory") }
        self.handle = handle
        let outcome = perform(mail, from: source, on: handle.raw)
        // What a broken conversation leaves behind must not reach the next mail.
        if case .unreachable = outcome { self.handle = nil }
        return outcome
    }

    private func perform(
        _ mail: OutgoingMail, from source: SMTPSource, on handle: UnsafeMutableRawPointer
    ) -> SMTPOutcome {
        let replies = SMTPReplies()
        var recipients = curl_slist_append(nil, "<\(mail.mime.to)>")
        defer {
            curl_slist_free_all(recipients)
            recipients = nil
        }
        curl_easy_reset(handle)
        martlet_curl_set_string(handle, CURLOPT_URL, settings.url)
        martlet_curl_set_long(handle, CURLOPT_USE_SSL, settings.transportSecurity)
        if let user = settings.user { martlet_curl_set_string(handle, CURLOPT_USERNAME, user) }
        if let password = settings.password { martlet_curl_set_string(handle, CURLOPT_PASSWORD, password) }
        martlet_curl_set_string(handle, CURLOPT_MAIL_FROM, "<\(mail.mime.from.address)>")
        martlet_curl_set_list(handle, CURLOPT_MAIL_RCPT, recipients)
        martlet_curl_set_long(handle, CURLOPT_UPLOAD, 1)
        martlet_curl_set_long(handle, CURLOPT_NOSIGNAL, 1)
        martlet_curl_set_long(handle, CURLOPT_CONNECTTIMEOUT_MS, settings.connectTimeoutMilliseconds)
        martlet_curl_set_long(handle, CURLOPT_TIMEOUT_MS, settings.timeoutMilliseconds)
        // Servers close idle connections; one that may be closed already isn't worth the try.
        martlet_curl_set_long(handle, CURLOPT_MAXAGE_CONN, 20)
        martlet_curl_set_offset(handle, CURLOPT_INFILESIZE_LARGE, curl_off_t(source.count))
        martlet_curl_set_transfer(handle, CURLOPT_READFUNCTION, SMTPSource.read)
        martlet_curl_set_pointer(handle, CURLOPT_READDATA, Unmanaged.passUnretained(source).toOpaque())
        martlet_curl_set_transfer(handle, CURLOPT_HEADERFUNCTION, SMTPReplies.take)
        martlet_curl_set_pointer(handle, CURLOPT_HEADERDATA, Unmanaged.passUnretained(replies).toOpaque())
        let code = withExtendedLifetime((source, replies)) { curl_easy_perform(handle) }
        var status = 0
        martlet_curl_get_long(handle, CURLINFO_RESPONSE_CODE, &status)
        return outcome(code, status: status, replies: replies, hasSentBody: source.hasStarted)
    }

    private func outcome(_ code: CURLcode, status: Int, replies: SMTPReplies, hasSentBody: Bool)
        -> SMTPOutcome
    {
        if code == CURLE_OK { return .accepted(reply: replies.last) }
        let reason = String(cString: curl_easy_strerror(code))
        // Without a refusal from the server the conversation broke off.
        guard (400...599).contains(status), code != CURLE_OPERATION_TIMEDOUT else {
            return .unreachable(reason)
        }
        let stage: SMTPOutcome.Stage
        switch code {
        case CURLE_LOGIN_DENIED, CURLE_USE_SSL_FAILED, CURLE_COULDNT_CONNECT: stage = .connection
        default: stage = hasSentBody ? .data : replies.stageOfRefusal
        }
        return .refused(stage, code: status, reply: replies.last)
    }
}

/// A libcurl handle that is freed with its owner.
private final class OpaqueHandle {
    let raw: UnsafeMutableRawPointer

    /// Once for the process, before any thread makes a handle.
    private static let isLibraryReady = curl_global_init(Int(CURL_GLOBAL_SSL | CURL_GLOBAL_WIN32)) == CURLE_OK

    init?() {
        guard Self.isLibraryReady, let raw = curl_easy_init() else { return nil }
        self.raw = raw
    }

    deinit { curl_easy_cleanup(raw) }
}

/// The body of a mail as libcurl reads it.
private final class SMTPSource {
    private let bytes: [UInt8]
    private var position = 0
    private(set) var hasStarted = false

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var count: Int { bytes.count }

    static let read: martlet_curl_transfer = { data, size, count, context in
        guard let data, let context else { return 0 }
        let source = Unmanaged<SMTPSource>.fromOpaque(context).takeUnretainedValue()
        source.hasStarted = true
        let length = min(size * count, source.bytes.count - source.position)
        source.bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress, length > 0 else { return }
            UnsafeMutableRawPointer(data).copyMemory(from: base + source.position, byteCount: length)
        }
        source.position += length
        return length
    }
}

/// What the server said, line by line.
private final class SMTPReplies {
    /// The last reply, without its code.
    private(set) var last = ""
    /// The codes so far, in the order of the conversation.
    private var codes: [Int] = []
    private var isRefused: Bool { codes.last.map { (400...599).contains($0) } ?? false }

    static let take: martlet_curl_transfer = { data, size, count, context in
        guard let data, let context else { return 0 }
        let length = size * count
        let line = data.withMemoryRebound(to: UInt8.self, capacity: length) {
            String(decoding: UnsafeBufferPointer(start: $0, count: length), as: UTF8.self)
        }
        Unmanaged<SMTPReplies>.fromOpaque(context).takeUnretainedValue().add(line)
        return length
    }

    private func add(_ line: String) {
        // After a refusal only the goodbye follows.
        guard !isRefused, let code = Int(line.prefix(3)) else { return }
        last = String(line.dropFirst(4).prefix(200)).filter { !$0.isNewline }
        let isFinal = line.dropFirst(3).first != "-"
        if isFinal { codes.append(code) }
    }

    /// MAIL and RCPT are both answered with 250, DATA with 354. What counts is how many of 250 came in this
    /// conversation; on a connection that stays open it has no greeting, and one to EHLO follows each 220.
    var stageOfRefusal: SMTPOutcome.Stage {
        let before = isRefused ? codes.dropLast() : codes[...]
        if before.contains(354) { return .data }
        let opening = before.lastIndex { $0 == 220 || $0 == 235 }
        let greeted = opening.map { before[$0] == 220 } ?? false
        let agreed =
            before[(opening.map { $0 + 1 } ?? before.startIndex)...].count { $0 == 250 } - (greeted ? 1 : 0)
        switch agreed {
        case ..<0: return .connection
        case 0: return .sender
        case 1: return .recipient
        default: return .data
        }
    }
}
