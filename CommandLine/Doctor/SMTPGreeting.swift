import NIOCore
import NIOPosix

/// What a mail server says first.
enum SMTPGreeting {
    struct NoAnswer: Error, CustomStringConvertible { let description: String }

    private static let patience = TimeAmount.seconds(5)

    /// Connects, and reads the greeting where it is not encrypted. Waits five seconds at most for each.
    static func read(host: String, port: Int, encrypted: Bool) async throws(NoAnswer) -> String {
        do {
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(patience)
                .connect(host: host, port: port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                    }
                }
            // Closing the channel ends the reading below.
            let alarm = channel.channel.eventLoop.scheduleTask(in: patience) {
                channel.channel.close(promise: nil)
            }
            defer { alarm.cancel() }
            return try await channel.executeThenClose { inbound, _ in
                if encrypted { return "" }
                for try await buffer in inbound {
                    let line = buffer.readableBytesView.prefix(512).prefix { $0 != 13 && $0 != 10 }
                    return String(decoding: line, as: UTF8.self)
                }
                throw NoAnswer(description: "it connects and says nothing")
            }
        } catch let error as NoAnswer {
            throw error
        } catch {
            throw NoAnswer(description: "it can't be reached (\(type(of: error)))")
        }
    }
}
