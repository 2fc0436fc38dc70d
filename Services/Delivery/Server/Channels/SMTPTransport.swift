import DeliveryDomain

/// Hands mails to an SMTP server over a bounded number of connections.
actor SMTPTransport: MailTransport {
    private var idle: [SMTPConnection]
    private var waiting: [CheckedContinuation<SMTPConnection, Never>] = []

    init(_ settings: SMTPSettings) {
        idle = (0..<max(1, settings.connections)).map { _ in SMTPConnection(settings) }
    }

    func send(_ mail: OutgoingMail) async -> SMTPOutcome {
        let connection = await borrow()
        let outcome = await connection.send(mail)
        giveBack(connection)
        return outcome
    }

    private func borrow() async -> SMTPConnection {
        // The last one back is the likeliest to be open still.
        if let connection = idle.popLast() { return connection }
        return await withCheckedContinuation { waiting.append($0) }
    }

    private func giveBack(_ connection: SMTPConnection) {
        if waiting.isEmpty {
            idle.append(connection)
        } else {
            waiting.removeFirst().resume(returning: connection)
        }
    }
}
