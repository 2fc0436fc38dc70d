package import HTTPTypes
package import Hummingbird
import HummingbirdCore
import Logging
import Models
import NIOCore
import Streams

/// Declares a service's routes with what each asks of its caller.
///
/// Paths name their parameters in braces, as OpenAPI does: `/v1/profiles/{id}`.
package final class ServiceRouter {
    package typealias Handler = @Sendable (ServiceRequest) async throws -> ServiceResponse

    /// One route, for the test that holds the router to the OpenAPI file.
    package struct Route: Hashable, Sendable {
        package let method: HTTPRequest.Method
        package let path: String
        package let access: Access
        /// Of those that ask for a scope.
        package let touches: Touches?
    }

    package private(set) var routes: [Route] = []
    private var handlers: [(Route, Handler)] = []
    private var directHandlers: [String: DirectHandler] = [:]

    package init() {}

    package func get(
        _ path: String, scope: Scope, touches: Touches, _ handler: @escaping Handler
    ) {
        on(.get, path, .scope(scope), touches: touches, handler)
    }
    package func put(
        _ path: String, scope: Scope, touches: Touches, _ handler: @escaping Handler
    ) {
        on(.put, path, .scope(scope), touches: touches, handler)
    }
    package func post(
        _ path: String, scope: Scope, touches: Touches, _ handler: @escaping Handler
    ) {
        on(.post, path, .scope(scope), touches: touches, handler)
    }
    package func delete(
        _ path: String, scope: Scope, touches: Touches, _ handler: @escaping Handler
    ) {
        on(.delete, path, .scope(scope), touches: touches, handler)
    }

    package func patch(
        _ path: String, scope: Scope, touches: Touches, _ handler: @escaping Handler
    ) {
        on(.patch, path, .scope(scope), touches: touches, handler)
    }

    package func get(_ path: String, access: Access, _ handler: @escaping Handler) {
        on(.get, path, access, handler)
    }
    package func put(_ path: String, access: Access, _ handler: @escaping Handler) {
        on(.put, path, access, handler)
    }
    package func post(_ path: String, access: Access, _ handler: @escaping Handler) {
        on(.post, path, access, handler)
    }

    /// Answers small requests to the route of a POST before they take the usual way.
    package func direct(_ path: String, _ handler: @escaping DirectHandler) {
        directHandlers[path] = handler
    }

    /// Any method.
    package func on(
        _ method: HTTPRequest.Method, _ path: String, _ access: Access, touches: Touches? = nil,
        _ handler: @escaping Handler
    ) {
        let route = Route(method: method, path: path, access: access, touches: touches)
        routes.append(route)
        handlers.append((route, handler))
    }

    /// The responder for Hummingbird: the routes, with a 405 for the methods that a path does not know.
    func build(
        control: AccessControl, limiter: RateLimiter, disclosure: Disclosure, trail: AuditTrail,
        edge: RequestEdge
    ) -> Router<ServiceRequestContext> {
        let router = Router(context: ServiceRequestContext.self)
        router.add(middleware: EdgeMiddleware(edge: edge))
        for (route, handler) in handlers {
            router.on(RouterPath(route.path), method: route.method) { request, context in
                let caller =
                    route.access == .provenToHandler
                    ? .anonymous
                    : try await control.caller(authorization: request.headers[.authorization])
                let address = limiter.proxies.client(
                    of: context.remoteAddress, forwarded: request.headers[.forwardedFor])
                let touches = route.touches ?? .definitions
                let serviceRequest = ServiceRequest(request: request, context: context, caller: caller)
                do throws(Problem) {
                    try Self.check(route.access, caller: caller)
                    try Disclosure.check(touches, caller: caller)
                } catch {
                    try limiter.check(caller: caller, address: address)
                    try await trail.refused(serviceRequest, at: route, error)
                    throw error
                }
                try limiter.check(caller: caller, address: address)
                return try await TraceContext.$traceparent.withValue(serviceRequest.traceparent) {
                    let answer = try await trail.recorded(serviceRequest, at: route, handler)
                    return try disclosure.shown(answer, touching: touches, to: caller)
                        .hummingbird(answering: request)
                }
            }
        }
        return router
    }

    /// The server: HTTP/1.1, which lets slow clients go, with a lane for the direct handlers where there are some.
    func server(limiter: RateLimiter, edge: RequestEdge, patience: ClientPatience) -> HTTPServerBuilder {
        let around = DirectLane.Surroundings(
            routes: DirectRoutes(directHandlers), edge: edge, limiter: limiter, mailboxes: LoopMailboxes())
        return .http1(
            configuration: .init(
                additionalChannelHandlers: Self.handlers(around, patience)))
    }

    private static func handlers(
        _ around: DirectLane.Surroundings, _ patience: ClientPatience
    ) -> [any RemovableChannelHandler] {
        let client = SlowClientHandler(patience, logger: around.edge.logger)
        if around.routes.isEmpty { return [client] }
        return [client, DirectLaneInstaller(around, client: client)]
    }

    private static func check(_ access: Access, caller: Caller) throws(Problem) {
        switch (access, caller) {
        case (.open, _), (.provenToHandler, _), (.service, .service): return
        case (.scope(let scope), _) where caller.may(scope): return
        case (_, .anonymous):
            throw .unauthorized(
                "send an API key as `Authorization: Bearer mk_…`; make one with `martlet keys create`")
        case (.scope(let scope), _): throw .forbidden("the API key lacks the scope `\(scope.rawValue)`")
        case (.service, _): throw .forbidden("only the services of this installation may call this")
        }
    }
}

/// Hummingbird's context with the peer's address.
package struct ServiceRequestContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    let remoteAddress: String

    package init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        remoteAddress = source.channel.remoteAddress?.ipAddress ?? "unknown"
    }
}

/// The outermost layer: counts, times and logs each request, and turns every error into a problem.
struct EdgeMiddleware: RouterMiddleware {
    typealias Context = ServiceRequestContext

    let edge: RequestEdge

    @concurrent
    func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        let route = context.endpointPath ?? "none"
        var response: Response
        do {
            response = try await next(request, context)
        } catch {
            response =
                edge.answer(error, method: request.method, route: route, path: request.uri.path).hummingbird
        }
        // Whatever it says, a body after it would be taken for the next answer (RFC 9110, section 9.3.2).
        if request.method == .head { response = response.createHeadResponse() }
        let (status, body) = (response.status, response.body)
        guard body.contentLength == nil else {
            edge.record(request.method, route: route, status: status, took: ContinuousClock.now - start)
            return response
        }
        // Its length isn't known before its end, and neither is the request's.
        response.body = ResponseBody { writer in
            defer {
                edge.record(request.method, route: route, status: status, took: ContinuousClock.now - start)
            }
            try await body.write(writer)
        }
        return response
    }
}

/// What is done with every request, whichever way it takes.
struct RequestEdge: Sendable {
    let routes: RouteTable
    let logger: Logger
    let metrics = RequestMetrics()

    /// What a caller is told of an error.
    func answer(
        _ error: any Error, method: HTTPRequest.Method, route: String, path: String
    ) -> ServiceResponse {
        if let problem = Problem.from(error) { return .problem(problem) }
        if let error = error as? HTTPError { return .problem(problem(of: error, path)) }
        if error is CancellationError { return .problem(.unavailable("the service is stopping; try again")) }
        // The type and the message only: parameters and bodies of the request may be personal.
        logger.error(
            "request failed",
            metadata: ["method": "\(method)", "route": "\(route)", "error": "\(type(of: error)): \(error)"])
        return .problem(
            Problem(
                status: .internalServerError, type: "internal", title: "Something broke here",
                detail: "it is logged; try again, and report it if it stays"))
    }

    private func problem(of error: HTTPError, _ path: String) -> Problem {
        switch error.status {
        case .notFound:
            routes.methodNotAllowed(at: path) ?? .notFound("no such path; /openapi.yaml lists what there is")
        case .contentTooLarge:
            Problem(status: .contentTooLarge, type: "too-large", title: "The request is too large")
        default:
            Problem(status: error.status, type: "http-\(error.status.code)", title: error.status.reasonPhrase)
        }
    }

    func record(_ method: HTTPRequest.Method, route: String, status: HTTPResponse.Status, took: Duration) {
        metrics.record(method, route: route, status: status, took: took)
        logger.debug(
            "request",
            metadata: [
                "method": "\(method)", "route": "\(route)", "status": "\(status.code)",
                "milliseconds": "\(took / .milliseconds(1))",
            ])
    }
}

extension HTTPField.Name {
    /// What proxies say of where a request came from; several of them count as one list.
    fileprivate static let forwardedFor: Self = {
        guard let name = Self("X-Forwarded-For") else { preconditionFailure("a token is a name") }
        return name
    }()
}
