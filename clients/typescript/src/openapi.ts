// Made by `npm run types` from the worker's OpenAPI document. Do not edit.

export interface paths {
    "/api/comfy/health": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get_api_comfy_health"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/queue": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: operations["post_api_comfy_queue"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/status/{prompt_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get_api_comfy_status_prompt_id"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/history/{prompt_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get_api_comfy_history_prompt_id"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/object-info": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get_api_comfy_object_info"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/object-info/{node}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get_api_comfy_object_info_node"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/view": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get_api_comfy_view"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/stream/{prompt_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get_api_comfy_stream_prompt_id"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/stream/{prompt_id}/link": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: operations["post_api_comfy_stream_prompt_id_link"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/ingest": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: operations["post_api_comfy_ingest"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/gallery": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get_api_comfy_gallery"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/gallery/days": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get_api_comfy_gallery_days"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/gallery/facets": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get_api_comfy_gallery_facets"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/gallery/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get_api_comfy_gallery_id"];
        put?: never;
        post?: never;
        delete: operations["delete_api_comfy_gallery_id"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/gallery/{id}/undo": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: operations["post_api_comfy_gallery_id_undo"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/gallery/{id}/file": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get_api_comfy_gallery_id_file"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/gallery/{id}/thumbnail": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["get_api_comfy_gallery_id_thumbnail"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/comfy/text2img": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: operations["post_api_comfy_text2img"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * ComfyEvent
         * @description One event: `status` holds a ComfyStatus, `images` a prompt_id and its images, the others a code and a message.
         */
        ComfyEvent: {
            /**
             * Event
             * @enum {string}
             */
            event: "status" | "warning" | "error" | "images";
            /** Id */
            id: string | null;
            /** Data */
            data: {
                [key: string]: unknown;
            };
        };
        /**
         * ComfyFile
         * @description A file the prompt has made; `filename`, `subfolder` and `type` are what /api/comfy/view takes.
         */
        ComfyFile: {
            /**
             * Kind
             * @enum {string}
             */
            kind: "image" | "video" | "audio" | "file";
            /** Node Id */
            node_id: string | null;
            /** Filename */
            filename: string;
            /** Subfolder */
            subfolder: string;
            /** Type */
            type: string;
            /** Mime Type */
            mime_type: string;
            /** Size Bytes */
            size_bytes?: number | null;
            /** Width */
            width?: number | null;
            /** Height */
            height?: number | null;
            /** Url */
            url: string | null;
        };
        /**
         * ComfyHealth
         * @description Whether the surface is on and, if so, what it talks to: `base_url` of the first ComfyUI, `timeout` in seconds.
         *
         *     `client_wired`: there is a ComfyUI to talk to at all. `instances` tell of each whether it is well.
         */
        ComfyHealth: {
            /** Ok */
            ok: boolean;
            /** Enabled */
            enabled: boolean;
            /** Base Url */
            base_url?: string | null;
            /** Timeout */
            timeout?: number | null;
            /** Client Wired */
            client_wired?: boolean | null;
            /** Instances */
            instances?: {
                [key: string]: unknown;
            }[] | null;
        };
        /**
         * ComfyHistory
         * @description What a prompt has made: `images`, and in `items` whatever else it was. Of its workflow nothing is told.
         */
        ComfyHistory: {
            /** Prompt Id */
            prompt_id: string;
            /**
             * Status
             * @enum {string}
             */
            status: "queued" | "running" | "completed" | "cancelled" | "failed";
            /** Progress */
            progress: number | null;
            /** Images */
            images: components["schemas"]["ComfyFile"][];
            /** Items */
            items: (components["schemas"]["ComfyFile"] | components["schemas"]["ComfyText"])[];
            error: components["schemas"]["Reason"] | null;
        };
        /**
         * ComfyObjectInfo
         * @description Node definitions by class, as ComfyUI has them.
         */
        ComfyObjectInfo: {
            [key: string]: {
                [key: string]: unknown;
            };
        };
        /**
         * ComfyQueueRequest
         * @description A workflow in API format; beside it whatever a job may have. `client_id` is only given back.
         */
        ComfyQueueRequest: {
            /**
             * @description Higher ones start first; first in, first out within one
             * @default normal
             */
            priority?: components["schemas"]["Priority"];
            /**
             * Webhook
             * @description http(s) URL that is told when the job has ended
             */
            webhook?: string | null;
            /**
             * Ttl S
             * @description Longest wait in line in s, after which the job has timed out; none = no limit
             */
            ttl_s?: number | null;
            /**
             * Labels
             * @description 16 names and values of your own at most, shown with the job; names of 1 to 40 letters, digits, _, . and -, values of 256 bytes
             */
            labels?: {
                [key: string]: string;
            };
            /**
             * Workflow
             * @description The workflow in API format: nodes by their ids. Also `prompt`
             */
            workflow: {
                [key: string]: unknown;
            };
            /**
             * Images
             * @description Input files, which its nodes name
             * @default []
             */
            images?: components["schemas"]["ImageFields"][];
            /**
             * Overrides
             * @description Inputs to replace, by node id or title: {"6.text": "a cat", "My sampler.seed": 7}
             * @default {}
             */
            overrides?: {
                [key: string]: unknown;
            };
            /**
             * Force
             * @description Render even what ComfyUI has cached
             * @default false
             */
            force?: boolean;
            /**
             * Comfy Org Api Key
             * @description comfy.org key for API nodes; none = COMFY_ORG_API_KEY. Also `api_key_comfy_org`
             */
            comfy_org_api_key?: string | null;
            /**
             * Extra Pnginfo
             * @description Passed on to nodes that write metadata into pictures
             * @default {}
             */
            extra_pnginfo?: {
                [key: string]: unknown;
            };
            /**
             * Output Format
             * @description Turn output pictures into it; none = as they are
             */
            output_format?: ("png" | "jpeg" | "webp") | null;
            /**
             * Output Quality
             * @description Of `output_format`, where it is jpeg or webp
             * @default 90
             */
            output_quality?: number;
            /**
             * Metadata
             * @description The workflow inside output pictures; none = OUTPUT_METADATA
             */
            metadata?: ("keep" | "strip") | null;
            /**
             * Delivery
             * @description How outputs are delivered; none = s3 where a bucket is set, else base64
             */
            delivery?: ("base64" | "s3") | null;
            /**
             * Include Temp
             * @description Deliver previews when the workflow saves nothing else
             * @default false
             */
            include_temp?: boolean;
            /** @description A bucket for this job's outputs */
            s3?: components["schemas"]["S3Fields"] | null;
            /**
             * Timeout S
             * @description Longest execution in s, without the wait for other jobs; none = JOB_TIMEOUT
             */
            timeout_s?: number | null;
            /**
             * Receipt
             * @description Tell with the result how it was made, and how to make it again
             * @default false
             */
            receipt?: boolean;
            /**
             * Timings
             * @description Tell with the result the seconds of each stage
             * @default false
             */
            timings?: boolean;
            /**
             * Previews
             * @description Without effect: pictures come to readers who ask for them
             * @default false
             */
            previews?: boolean;
            /**
             * Traceparent
             * @description W3C's, of the span this job belongs to; one that is none is ignored
             * @default
             */
            traceparent?: string;
            /**
             * Gpu
             * @description Where it runs: local, the name of a remote target, or the label of a ComfyUI; none = anywhere
             * @default
             */
            gpu?: string;
            /**
             * Machine Id
             * @description The same for ROUTING_FILE: a machine of ComfyUI Deploy, or the name of a ComfyUI
             * @default
             */
            machine_id?: string;
            /** @description What ComfyUI Deploy is to run in place of a workflow here */
            deployment?: components["schemas"]["DeploymentFields"] | null;
            /** @description Where ComfyUI Deploy is told of it, when it is its run */
            report?: components["schemas"]["ReportFields"] | null;
            /**
             * Client Id
             * @description Handed back in the answer
             */
            client_id?: string | null;
        };
        /**
         * ComfyQueueResponse
         * @description The workflow is kept and in line; `position` counts those before it.
         */
        ComfyQueueResponse: {
            /** Prompt Id */
            prompt_id: string;
            /** Client Id */
            client_id: string;
            /**
             * Status
             * @enum {string}
             */
            status: "queued" | "running" | "completed" | "cancelled" | "failed";
            /** Position */
            position: number;
        };
        /**
         * ComfyStatus
         * @description A prompt as it stands. `progress` is 0 to 100, null where nobody can tell; `position` counts those before it.
         *
         *     `images` are there once it has ended.
         */
        ComfyStatus: {
            /** Prompt Id */
            prompt_id: string;
            /**
             * Status
             * @enum {string}
             */
            status: "queued" | "running" | "completed" | "cancelled" | "failed";
            /** Progress */
            progress: number | null;
            /** Position */
            position: number | null;
            /** Node */
            node: string | null;
            /** Step */
            step: number | null;
            /** Steps */
            steps: number | null;
            /** Instance */
            instance: string | null;
            /** Created At */
            created_at: number | null;
            /** Started At */
            started_at: number | null;
            /** Finished At */
            finished_at: number | null;
            /**
             * Images
             * @default []
             */
            images?: components["schemas"]["ComfyFile"][];
            error: components["schemas"]["Reason"] | null;
        } & {
            [key: string]: unknown;
        };
        /**
         * ComfyStreamLink
         * @description An address that opens a prompt's stream without a key until `expires_at` (epoch seconds).
         */
        ComfyStreamLink: {
            /** Stream */
            stream: string;
            /** Expires At */
            expires_at: number;
        };
        /**
         * ComfyText
         * @description A text the prompt has made.
         */
        ComfyText: {
            /**
             * Kind
             * @constant
             */
            kind: "text";
            /** Node Id */
            node_id: string | null;
            /** Text */
            text: string;
        };
        /**
         * ComfyText2ImgResponse
         * @description The prompt is in line. `workflow` is what was made; `warnings` tell what was not taken as it was asked for.
         */
        ComfyText2ImgResponse: {
            /** Prompt Id */
            prompt_id: string;
            /** Client Id */
            client_id: string;
            /**
             * Status
             * @enum {string}
             */
            status: "queued" | "running" | "completed" | "cancelled" | "failed";
            /** Position */
            position: number;
            /** Checkpoint */
            checkpoint: string;
            /**
             * Family
             * @enum {string}
             */
            family: "sd15" | "sdxl" | "sd3" | "flux";
            /** Seed */
            seed: number;
            /** Width */
            width: number;
            /** Height */
            height: number;
            /** Workflow */
            workflow: {
                [key: string]: unknown;
            };
            /** Warnings */
            warnings: components["schemas"]["Finding"][];
        };
        /**
         * DeploymentFields
         * @description What ComfyUI Deploy is to run: a deployment, or a workflow by id, by one of its versions or by name.
         */
        DeploymentFields: {
            /**
             * Deployment Id
             * @description A deployment; or one of the next three
             * @default
             */
            deployment_id?: string;
            /**
             * Workflow Id
             * @description A workflow, in its newest version
             * @default
             */
            workflow_id?: string;
            /**
             * Workflow Version Id
             * @description One version of a workflow
             * @default
             */
            workflow_version_id?: string;
            /**
             * Name
             * @description A workflow by its name, as /api/deploy/workflows lists it
             * @default
             */
            name?: string;
            /**
             * Inputs
             * @description Values of its inputs, by their names
             * @default {}
             */
            inputs?: {
                [key: string]: unknown;
            };
            /**
             * Machine Id
             * @description The machine it is to run on; none = the deployment's own
             * @default
             */
            machine_id?: string;
            /**
             * Gpu
             * @description A GPU in ComfyUI Deploy's words, such as T4 or A10G
             * @default
             */
            gpu?: string;
        };
        /**
         * ErrorBody
         * @description What every answer of status 400 and above holds. Below /v2/, `error` is the message.
         */
        ErrorBody: {
            /** Error */
            error: string;
            /** Message */
            message: string;
            /** Statuscode */
            statusCode: number;
            /** Code */
            code: string;
            /** Details */
            details: components["schemas"]["ErrorDetail"][];
        };
        /**
         * ErrorDetail
         * @description One finding; only the keys that apply are there.
         */
        ErrorDetail: {
            /** Field */
            field?: string | null;
            /** Message */
            message?: string | null;
            /** Code */
            code?: string | null;
        } & {
            [key: string]: unknown;
        };
        /**
         * Finding
         * @description Something about the workflow; only the keys that apply are there.
         */
        Finding: {
            [key: string]: unknown;
        };
        /**
         * GalleryDay
         * @description How many files came in on a day (UTC).
         */
        GalleryDay: {
            /** Day */
            day: string;
            /** Count */
            count: number;
        };
        /**
         * GalleryDays
         * @description The days on which something came in, the newest first.
         */
        GalleryDays: {
            /** Days */
            days: components["schemas"]["GalleryDay"][];
            /** Total */
            total: number;
        };
        /**
         * GalleryFacet
         * @description How many files have that name of a workflow, or of a checkpoint.
         */
        GalleryFacet: {
            /** Name */
            name: string;
            /** Count */
            count: number;
        };
        /**
         * GalleryFacets
         * @description What the filters `workflow` and `checkpoint` may look for: the hundred most used of each.
         */
        GalleryFacets: {
            /** Workflows */
            workflows: components["schemas"]["GalleryFacet"][];
            /** Checkpoints */
            checkpoints: components["schemas"]["GalleryFacet"][];
        };
        /**
         * GalleryItem
         * @description A picture, video or sound. `id` is the sha256 of its content; times are epoch seconds, the day is UTC's.
         *
         *     Its addresses open without a key for a day and more. A sound or video has no thumbnail.
         */
        GalleryItem: {
            /** Id */
            id: string;
            /** Filename */
            filename: string;
            /** Media Type */
            media_type: string;
            /**
             * Kind
             * @enum {string}
             */
            kind: "image" | "video" | "audio";
            /** Size Bytes */
            size_bytes: number;
            /** Width */
            width: number | null;
            /** Height */
            height: number | null;
            /** Created At */
            created_at: number;
            /** Day */
            day: string;
            /**
             * Source
             * @enum {string}
             */
            source: "generated" | "ingested";
            /** Prompt Id */
            prompt_id: string | null;
            /** Job Id */
            job_id: string | null;
            /** Workflow Name */
            workflow_name: string | null;
            /** Checkpoints */
            checkpoints: string[];
            /** Prompt */
            prompt: string | null;
            /** Deleted Until */
            deleted_until: number | null;
            /** File Url */
            file_url: string;
            /** Thumbnail Url */
            thumbnail_url: string | null;
        };
        /**
         * GalleryPage
         * @description The newest first. `next` is the `cursor` of the page after this one; `is_indexing`: there will be more soon.
         */
        GalleryPage: {
            /** Items */
            items: components["schemas"]["GalleryItem"][];
            /** Next */
            next: string | null;
            /** Is Indexing */
            is_indexing: boolean;
        };
        /**
         * GallerySidecar
         * @description An item, and the whole JSON that lies beside its file.
         */
        GallerySidecar: {
            /** Id */
            id: string;
            /** Filename */
            filename: string;
            /** Media Type */
            media_type: string;
            /**
             * Kind
             * @enum {string}
             */
            kind: "image" | "video" | "audio";
            /** Size Bytes */
            size_bytes: number;
            /** Width */
            width: number | null;
            /** Height */
            height: number | null;
            /** Created At */
            created_at: number;
            /** Day */
            day: string;
            /**
             * Source
             * @enum {string}
             */
            source: "generated" | "ingested";
            /** Prompt Id */
            prompt_id: string | null;
            /** Job Id */
            job_id: string | null;
            /** Workflow Name */
            workflow_name: string | null;
            /** Checkpoints */
            checkpoints: string[];
            /** Prompt */
            prompt: string | null;
            /** Deleted Until */
            deleted_until: number | null;
            /** File Url */
            file_url: string;
            /** Thumbnail Url */
            thumbnail_url: string | null;
            /** Sidecar */
            sidecar: {
                [key: string]: unknown;
            };
        };
        /**
         * ImageFields
         * @description An entry of `images`. `formats` (png, jpeg, mp4 …) are those its content may have, `max_bytes` its size.
         */
        ImageFields: {
            /**
             * Name
             * @description What nodes of the workflow call it; may have a subfolder
             */
            name: string;
            /**
             * Image
             * @description Base64, a data URI, an http(s) or s3:// URL, or the ref of an upload
             */
            image: string;
            /**
             * Max Bytes
             * @description Refused when larger; none = MAX_INPUT_FILE_MB
             */
            max_bytes?: number | null;
            /**
             * Formats
             * @description Formats its content may have, e.g. png, jpeg, mp4; none = any a loader takes
             */
            formats?: string[] | null;
        };
        /**
         * Ingested
         * @description The item of the gallery. The paths are below its folder.
         */
        Ingested: {
            /** Id */
            id: string;
            /** Filename */
            filename: string;
            /** Media Type */
            media_type: string;
            /**
             * Kind
             * @enum {string}
             */
            kind: "image" | "video" | "audio";
            /** Size Bytes */
            size_bytes: number;
            /** Width */
            width: number | null;
            /** Height */
            height: number | null;
            /** Created At */
            created_at: number;
            /** Day */
            day: string;
            /**
             * Source
             * @enum {string}
             */
            source: "generated" | "ingested";
            /** Prompt Id */
            prompt_id: string | null;
            /** Job Id */
            job_id: string | null;
            /** Workflow Name */
            workflow_name: string | null;
            /** Checkpoints */
            checkpoints: string[];
            /** Prompt */
            prompt: string | null;
            /** Deleted Until */
            deleted_until: number | null;
            /** File Url */
            file_url: string;
            /** Thumbnail Url */
            thumbnail_url: string | null;
            /** Is Duplicate */
            is_duplicate: boolean;
            /** Path */
            path: string;
            /** Sidecar Path */
            sidecar_path: string;
        };
        /**
         * Priority
         * @description How urgent a job is. `weight` shifts its place in line, see `rank_of`.
         * @enum {string}
         */
        Priority: "low" | "normal" | "high";
        /**
         * Problem
         * @description RFC 9457, for callers whose Accept prefers application/problem+json.
         */
        Problem: {
            /** Type */
            type: string;
            /** Title */
            title: string;
            /** Status */
            status: number;
            /** Detail */
            detail: string;
            /** Instance */
            instance: string;
            /** Code */
            code: string;
            /** Details */
            details: components["schemas"]["ErrorDetail"][];
        };
        /**
         * Reason
         * @description Why a job did not succeed.
         */
        Reason: {
            /** Code */
            code: string;
            /** Message */
            message: string;
        };
        /**
         * ReportFields
         * @description Where ComfyUI Deploy is told of a run that it has this worker do, as its machine.
         */
        ReportFields: {
            /**
             * Run Id
             * @description The run's id over there
             */
            run_id: string;
            /**
             * Status Url
             * @description Is told how the run stands
             */
            status_url: string;
            /**
             * Upload Url
             * @description Gives places for its files
             * @default
             */
            upload_url?: string;
            /**
             * Token
             * @description Sent to both as Bearer
             * @default
             */
            token?: string;
            /**
             * Gpu Event Id
             * @description Handed back as it is
             */
            gpu_event_id?: string | null;
        };
        /**
         * S3Fields
         * @description A bucket of the caller's own; in our spelling or in RunPod's.
         */
        S3Fields: {
            /**
             * Endpoint Url
             * @description Where the service is; may hold the bucket as host name or path. Also `endpointUrl`
             */
            endpoint_url: string;
            /**
             * Access Key Id
             * @description Its access key. Also `accessId`
             */
            access_key_id: string;
            /**
             * Secret Access Key
             * @description Its secret key. Also `accessSecret`
             */
            secret_access_key: string;
            /**
             * Bucket Name
             * @description The bucket, when the endpoint does not hold it. Also `bucketName`
             */
            bucket_name?: string | null;
            /**
             * Region
             * @description Its region, when the endpoint does not tell it
             */
            region?: string | null;
            /**
             * Prefix
             * @description Put in front of the keys of the job's files
             */
            prefix?: string | null;
        };
        /**
         * Source
         * @description How a file came here. Generated: as the output of a job. Ingested: somebody sent it in, to be kept.
         * @enum {string}
         */
        Source: "generated" | "ingested";
        /**
         * Text2ImgRequest
         * @description A picture to be made from words. What is left out is chosen to suit the checkpoint's family.
         *
         *     Sides are in pixels. The switches take true, or a number for what they are about: pag its scale, deepshrink the
         *     factor by which it shrinks, detail_daemon its amount, split_sigmas the step at which the second part begins.
         */
        Text2ImgRequest: {
            /**
             * @description Higher ones start first; first in, first out within one
             * @default normal
             */
            priority?: components["schemas"]["Priority"];
            /**
             * Webhook
             * @description http(s) URL that is told when the job has ended
             */
            webhook?: string | null;
            /**
             * Ttl S
             * @description Longest wait in line in s, after which the job has timed out; none = no limit
             */
            ttl_s?: number | null;
            /**
             * Labels
             * @description 16 names and values of your own at most, shown with the job; names of 1 to 40 letters, digits, _, . and -, values of 256 bytes
             */
            labels?: {
                [key: string]: string;
            };
            /**
             * Caption
             * @description What the picture shows
             */
            caption: string;
            /**
             * Negative
             * @description What it must not show; without effect on Flux
             * @default
             */
            negative?: string;
            /**
             * Width
             * @description Rounded to a multiple of 8, for SD3 and Flux of 16
             */
            width?: number | null;
            /**
             * Height
             * @description The same; left out, what suits the family
             */
            height?: number | null;
            /**
             * Steps
             * @description How often it samples; left out, what suits the family
             */
            steps?: number | null;
            /**
             * Cfg
             * @description How closely it follows the words; for Flux, its guidance
             */
            cfg?: number | null;
            /**
             * Seed
             * @description Left out, a random one
             */
            seed?: number | null;
            /**
             * Sampler
             * @description One of ComfyUI's
             */
            sampler?: string | null;
            /**
             * Scheduler
             * @description One of ComfyUI's
             */
            scheduler?: string | null;
            /**
             * Batch Size
             * @description How many pictures
             * @default 1
             */
            batch_size?: number;
            /**
             * Checkpoint
             * @description A checkpoint or diffusion model that ComfyUI offers; left out, the first one
             */
            checkpoint?: string | null;
            /**
             * Family
             * @description What the checkpoint is; left out, its file tells or else its name
             */
            family?: ("sd15" | "sdxl" | "sd3" | "flux") | null;
            /**
             * Loras
             * @description LoRAs that ComfyUI offers, by name
             * @default []
             */
            loras?: string[];
            /**
             * Lora Weights
             * @description One for each of loras in their order, or by name; those left out are 1
             * @default []
             */
            lora_weights?: number[] | {
                [key: string]: number;
            };
            /**
             * Pag
             * @description Perturbed attention guidance
             * @default false
             */
            pag?: boolean | number;
            /**
             * Deepshrink
             * @description Kohya's deep shrink, for sizes beyond those the model was trained with
             * @default false
             */
            deepshrink?: boolean | number;
            /**
             * Detail Daemon
             * @description More detail; with split_sigmas in the second part only
             * @default false
             */
            detail_daemon?: boolean | number;
            /**
             * Split Sigmas
             * @description Sample in two parts
             * @default false
             */
            split_sigmas?: boolean | number;
            /**
             * Client Id
             * @description Handed back in the answer
             */
            client_id?: string | null;
        };
    };
    responses: {
        /** @description The request says something that cannot be; `details` name the place */
        BadRequest: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorBody"];
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description A valid API key is needed */
        Unauthorized: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorBody"];
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The key does not open this, or a page of another site asks for it */
        Forbidden: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorBody"];
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description There is nothing of that name or id, or this part of the worker is switched off */
        NotFound: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorBody"];
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The body stopped coming */
        RequestTimeout: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorBody"];
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Not as things stand; or the first request with this Idempotency-Key is still under way */
        Conflict: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorBody"];
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The body, or a file in it, is too large */
        TooLarge: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorBody"];
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The body is compressed, or of a type that is not taken here */
        UnsupportedType: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorBody"];
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description None of the file's bytes are in the range */
        RangeNotSatisfiable: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorBody"];
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description A parameter is wrong; or the Idempotency-Key came with another request before */
        Unprocessable: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorBody"];
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description This is a WebSocket */
        UpgradeRequired: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorBody"];
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Too many requests, or too many jobs wait */
        TooMany: {
            headers: {
                /** @description Seconds to wait */
                "Retry-After"?: number;
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorBody"];
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The worker made a mistake; or the job failed whose result was asked for */
        InternalError: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorBody"];
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description What the worker relies on failed: ComfyUI, another service, or a file that is gone */
        BadGateway: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorBody"];
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The store or ComfyUI cannot be used now, or the worker is stopping */
        Unavailable: {
            headers: {
                /** @description Seconds to wait */
                "Retry-After"?: number;
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorBody"];
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The job took too long */
        TimedOut: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorBody"];
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The disk is nearly full */
        StorageFull: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorBody"];
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
    };
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    get_api_comfy_health: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ComfyHealth"];
                };
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    post_api_comfy_queue: {
        parameters: {
            query?: never;
            header?: {
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ComfyQueueRequest"];
            };
        };
        responses: {
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ComfyQueueResponse"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["UnsupportedType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["InternalError"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["Unavailable"];
            507: components["responses"]["StorageFull"];
        };
    };
    get_api_comfy_status_prompt_id: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                prompt_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ComfyStatus"];
                };
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["InternalError"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["Unavailable"];
        };
    };
    get_api_comfy_history_prompt_id: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                prompt_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ComfyHistory"];
                };
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["InternalError"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["Unavailable"];
        };
    };
    get_api_comfy_object_info: {
        parameters: {
            query?: {
                node?: string | null;
                refresh?: boolean;
                instance?: string | null;
            };
            header?: {
                "If-None-Match"?: string | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ComfyObjectInfo"];
                };
            };
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["InternalError"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["Unavailable"];
        };
    };
    get_api_comfy_object_info_node: {
        parameters: {
            query?: {
                refresh?: boolean;
                instance?: string | null;
            };
            header?: {
                "If-None-Match"?: string | null;
            };
            path: {
                node: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ComfyObjectInfo"];
                };
            };
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["InternalError"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["Unavailable"];
        };
    };
    get_api_comfy_view: {
        parameters: {
            query: {
                filename: string;
                subfolder?: string;
                type?: "output" | "temp" | "input";
                instance?: string | null;
                thumbnail?: number | null;
            };
            header?: {
                Range?: string | null;
                "If-Range"?: string | null;
                "If-None-Match"?: string | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            206: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            307: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            416: components["responses"]["RangeNotSatisfiable"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["InternalError"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["Unavailable"];
        };
    };
    get_api_comfy_stream_prompt_id: {
        parameters: {
            query?: {
                last_event_id?: string | null;
            };
            header?: {
                "Last-Event-ID"?: string | null;
            };
            path: {
                prompt_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": components["schemas"]["ComfyEvent"];
                };
            };
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    post_api_comfy_stream_prompt_id_link: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                prompt_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ComfyStreamLink"];
                };
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    post_api_comfy_ingest: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": {
                    /** Format: binary */
                    file: string;
                    prompt_id?: string;
                    workflow?: string;
                    metadata?: string;
                };
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Ingested"];
                };
            };
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Ingested"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["UnsupportedType"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["InternalError"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["Unavailable"];
            507: components["responses"]["StorageFull"];
        };
    };
    get_api_comfy_gallery: {
        parameters: {
            query?: {
                limit?: number;
                cursor?: number | null;
                q?: string;
                day?: string | null;
                workflow?: string | null;
                checkpoint?: string | null;
                kind?: ("image" | "video" | "audio") | null;
                source?: components["schemas"]["Source"] | null;
                min_width?: number | null;
                max_width?: number | null;
                min_height?: number | null;
                max_height?: number | null;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GalleryPage"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    get_api_comfy_gallery_days: {
        parameters: {
            query?: {
                q?: string;
                day?: string | null;
                workflow?: string | null;
                checkpoint?: string | null;
                kind?: ("image" | "video" | "audio") | null;
                source?: components["schemas"]["Source"] | null;
                min_width?: number | null;
                max_width?: number | null;
                min_height?: number | null;
                max_height?: number | null;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GalleryDays"];
                };
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    get_api_comfy_gallery_facets: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GalleryFacets"];
                };
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    get_api_comfy_gallery_id: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GallerySidecar"];
                };
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["InternalError"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["Unavailable"];
        };
    };
    delete_api_comfy_gallery_id: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GalleryItem"];
                };
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["InternalError"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["Unavailable"];
        };
    };
    post_api_comfy_gallery_id_undo: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GalleryItem"];
                };
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["InternalError"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["Unavailable"];
        };
    };
    get_api_comfy_gallery_id_file: {
        parameters: {
            query?: never;
            header?: {
                Range?: string | null;
                "If-Range"?: string | null;
                "If-None-Match"?: string | null;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            206: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            416: components["responses"]["RangeNotSatisfiable"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["InternalError"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["Unavailable"];
        };
    };
    get_api_comfy_gallery_id_thumbnail: {
        parameters: {
            query?: {
                side?: number;
            };
            header?: {
                "If-None-Match"?: string | null;
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            206: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            416: components["responses"]["RangeNotSatisfiable"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["InternalError"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["Unavailable"];
        };
    };
    post_api_comfy_text2img: {
        parameters: {
            query?: never;
            header?: {
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Text2ImgRequest"];
            };
        };
        responses: {
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ComfyText2ImgResponse"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["UnsupportedType"];
            422: components["responses"]["Unprocessable"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["InternalError"];
            502: components["responses"]["BadGateway"];
            503: components["responses"]["Unavailable"];
            507: components["responses"]["StorageFull"];
        };
    };
}
